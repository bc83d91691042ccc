package peer

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var ours = Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("192.0.2.7/32")}

// resolved is the request as a handler gets it.
func resolved(p Proxies, r *http.Request) (got *http.Request) {
	p.Behind(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })).ServeHTTP(httptest.NewRecorder(), r)
	return got
}

func TestCaller(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, direct string
		forwarded    []string
		want         string
	}{
		{"nobody's proxy", "198.51.100.1:4711", []string{"203.0.113.9"}, "198.51.100.1:4711"},
		{"no header", "10.0.0.1:4711", nil, "10.0.0.1:0"},
		{"empty header", "10.0.0.1:4711", []string{" "}, "10.0.0.1:0"},
		{"one hop", "10.0.0.1:4711", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"what the caller made up stands at the left", "10.0.0.1:4711", []string{"198.18.0.1, 203.0.113.9"}, "203.0.113.9:0"},
		{"several lines are one list", "10.0.0.1:4711", []string{"198.18.0.1", "203.0.113.9"}, "203.0.113.9:0"},
		{"two proxies", "10.0.0.1:4711", []string{"198.18.0.1, 203.0.113.9,10.9.9.9"}, "203.0.113.9:0"},
		{"rubbish beyond the caller is never looked at", "10.0.0.1:4711", []string{"<script>, 203.0.113.9"}, "203.0.113.9:0"},
		{"rubbish in its place", "10.0.0.1:4711", []string{"203.0.113.9, unknown"}, "10.0.0.1:0"},
		{"rubbish behind a proxy of ours", "10.0.0.1:4711", []string{"_hidden, 10.9.9.9"}, "10.0.0.1:0"},
		{"an empty place", "10.0.0.1:4711", []string{"203.0.113.9,"}, "10.0.0.1:0"},
		{"all of them are ours", "10.0.0.1:4711", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3:0"},
		{"longer than any chain", "10.0.0.1:4711", []string{"203.0.113.9" + strings.Repeat(", 10.2.2.2", 16)}, "10.0.0.1:0"},
		{"with a port", "10.0.0.1:4711", []string{"203.0.113.9:1234"}, "203.0.113.9:0"},
		{"IPv6", "10.0.0.1:4711", []string{"2001:db8:9::1"}, "[2001:db8:9::1]:0"},
		{"IPv6 in brackets", "10.0.0.1:4711", []string{"[2001:db8:9::1]"}, "[2001:db8:9::1]:0"},
		{"IPv6 with a port", "10.0.0.1:4711", []string{"[2001:db8:9::1]:443"}, "[2001:db8:9::1]:0"},
		{"IPv4 in IPv6 form", "[::ffff:10.0.0.1]:4711", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		{"a proxy on IPv6", "[2001:db8:1::5]:4711", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"a neighbour of the proxy", "192.0.2.8:4711", []string{"203.0.113.9"}, "192.0.2.8:4711"},
		{"no address at all", "@", []string{"203.0.113.9"}, "@"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("PUT", "/mdm", nil)
			r.RemoteAddr = tt.direct
			r.Header["X-Forwarded-For"] = tt.forwarded
			if got := resolved(ours, r).RemoteAddr; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestClaimsAreTakenAway: from our proxy or from anybody else, no handler sees
// who a header says the caller is; the request itself is left as it came.
func TestClaimsAreTakenAway(t *testing.T) {
	t.Parallel()
	for _, direct := range []string{"10.0.0.1:1", "198.51.100.1:1"} {
		r := httptest.NewRequest("PUT", "/mdm", nil)
		r.RemoteAddr = direct
		for _, name := range []string{"x-forwarded-for", "forwarded", "x-real-ip", "client-cert", "client-cert-chain"} {
			r.Header.Set(name, "203.0.113.9")
		}
		r.Header.Set("Mdm-Signature", "stays")
		got := resolved(ours, r)
		if len(got.Header) != 1 || got.Header.Get("Mdm-Signature") != "stays" {
			t.Errorf("from %s: a handler sees %v", direct, got.Header)
		}
		if len(r.Header) != 6 {
			t.Errorf("from %s: the server's own header was changed: %v", direct, r.Header)
		}
	}
}

func TestCertificateComesFromWhoMayBringIt(t *testing.T) {
	t.Parallel()
	phone, proxy := newCertificate(t, "phone"), newCertificate(t, "proxy")
	field := header(phone.Raw)
	tests := []struct {
		name   string
		direct string
		tls    *x509.Certificate
		fields []string
		want   *x509.Certificate
		fails  bool
	}{
		{name: "nothing", direct: "198.51.100.1:1"},
		{name: "in TLS", direct: "198.51.100.1:1", tls: phone, want: phone},
		{name: "a stranger's header", direct: "198.51.100.1:1", fields: []string{field}},
		{name: "a stranger's header does not replace TLS", direct: "198.51.100.1:1", tls: proxy, fields: []string{field}, want: proxy},
		{name: "our proxy's header", direct: "10.0.0.1:1", fields: []string{field}, want: phone},
		{name: "our proxy's header, not the proxy's own certificate", direct: "10.0.0.1:1", tls: proxy, fields: []string{field}, want: phone},
		{name: "our proxy's own certificate is nobody's", direct: "10.0.0.1:1", tls: proxy},
		{name: "two of them", direct: "10.0.0.1:1", fields: []string{field, field}, fails: true},
		{name: "a list", direct: "10.0.0.1:1", fields: []string{field + ", " + field}, fails: true},
		{name: "empty", direct: "10.0.0.1:1", fields: []string{""}},
		{name: "an empty sequence", direct: "10.0.0.1:1", fields: []string{"::"}},
		{name: "spaces around it", direct: "10.0.0.1:1", fields: []string{"  " + field + " "}, want: phone},
		{name: "without padding", direct: "10.0.0.1:1", fields: []string{strings.ReplaceAll(field, "=", "")}, want: phone},
		{name: "without colons", direct: "10.0.0.1:1", fields: []string{strings.Trim(field, ":")}, fails: true},
		{name: "one colon", direct: "10.0.0.1:1", fields: []string{":"}, fails: true},
		{name: "with a parameter", direct: "10.0.0.1:1", fields: []string{field + ";a=1"}, fails: true},
		{name: "line break inside", direct: "10.0.0.1:1", fields: []string{field[:9] + "\n" + field[9:]}, fails: true},
		{name: "the URL alphabet", direct: "10.0.0.1:1", fields: []string{":-_-_:"}, fails: true},
		{name: "PEM, escaped, as nginx does", direct: "10.0.0.1:1", fields: []string{"-----BEGIN%20CERTIFICATE-----%0AMIIB"}, fails: true},
		{name: "not DER", direct: "10.0.0.1:1", fields: []string{":aGVsbG8=:"}, fails: true},
		{name: "more behind it", direct: "10.0.0.1:1", fields: []string{header(append(phone.Raw[:len(phone.Raw):len(phone.Raw)], 5, 0))}, fails: true},
		{name: "nested without end", direct: "10.0.0.1:1", fields: []string{header([]byte(strings.Repeat("\x30\x80", 4000)))}, fails: true},
		{name: "too long", direct: "10.0.0.1:1", fields: []string{":" + strings.Repeat("A", 16<<10) + ":"}, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("PUT", "/mdm", nil)
			r.RemoteAddr, r.TLS = tt.direct, nil
			if tt.tls != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{tt.tls}}
			}
			r.Header["Client-Cert"] = tt.fields
			got, err := Certificate(resolved(ours, r))
			if (err != nil) != tt.fails {
				t.Fatalf("error %v, want one: %v", err, tt.fails)
			}
			if (got == nil) != (tt.want == nil) || got != nil && !got.Equal(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Without the middleware there is nothing to believe.
func TestCertificateOfABareRequest(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("PUT", "/mdm", nil)
	r.Header.Set("Client-Cert", header(newCertificate(t, "phone").Raw))
	if c, err := Certificate(r); c != nil || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
}
