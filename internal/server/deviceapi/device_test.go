package deviceapi

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"sallyport/internal/bounded"
	"sallyport/internal/server/problem"
	"sallyport/internal/web"
)

// User-Agents as their makers document them, or as seen in public bug reports.
func TestKindOf(t *testing.T) {
	const ios = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
	tests := []struct {
		name, agent string
		want        web.Kind
	}{
		{"Safari", ios + "Version/17.5 Mobile/15E148 Safari/604.1", web.IPhone},
		{"Safari on an iPad that says so", "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", web.IPhone},
		{"Safari on an iPad in its default setting", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", web.Desktop},
		{"Chrome", ios + "CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1", web.OtherBrowser},
		{"Firefox", ios + "FxiOS/127.0 Mobile/15E148 Safari/605.1.15", web.OtherBrowser},
		{"Edge", ios + "Version/17.0 EdgiOS/125.0.2535.96 Mobile/15E148 Safari/604.1", web.OtherBrowser},
		{"DuckDuckGo", ios + "Version/17.5 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15", web.OtherBrowser},
		{"DuckDuckGo, newer", ios + "Version/17.5 Mobile/15E148 Safari/605.1.15 Ddg/17.5", web.OtherBrowser},
		{"Google app", ios + "GSA/323.0.647062479 Mobile/15E148 Safari/604.1", web.OtherBrowser},
		{"a mail app's own viewer", ios + "Mobile/15E148", web.OtherBrowser},
		{"Android", "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36", web.Android},
		{"Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", web.Desktop},
		{"nothing", "", web.Desktop},
	}
	for _, tt := range tests {
		if got := kindOf(tt.agent); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The message of a GET comes through whatever a query does to base64, and
// nothing larger than the limit is taken.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte("der"))
	f.Add([]byte{0x30, 0x80, 0xfb, 0xff, 0xfe})
	f.Add(bytes.Repeat([]byte{0xfb}, 100))
	f.Fuzz(func(t *testing.T, message []byte) {
		raw, err := unwrap(string(message))
		if err == nil && len(raw) > bounded.MaxCMS+2 {
			t.Fatalf("%d bytes were taken", len(raw))
		}
		if err != nil && problem.Of(err).Status >= http.StatusInternalServerError {
			t.Fatalf("error %v", err)
		}
		if len(message) > bounded.MaxCMS {
			return
		}
		text := base64.StdEncoding.EncodeToString(message)
		careless, err := url.QueryUnescape(text) // a plus becomes a blank
		if err != nil {
			t.Fatal(err)
		}
		got, err := unwrap(careless)
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("unwrap = %x, %v; want %x", got, err, message)
		}
	})
}
