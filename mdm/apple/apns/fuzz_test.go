package apns

import (
	"strings"
	"testing"
)

func FuzzParseReason(f *testing.F) {
	f.Add([]byte(`{"reason":"Unregistered","timestamp":1795348800000}`))
	f.Add([]byte(`{"reason":"` + strings.Repeat("a", 65) + `"}`))
	f.Add([]byte(`{"timestamp":9e99}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		reason, since := parseReason(body)
		if word(reason) == "" {
			t.Errorf("%q is no word", reason)
		}
		if y := since.Year(); !since.IsZero() && (y < 1970 || y > 2300) {
			t.Errorf("since %s", since)
		}
	})
}

func FuzzParse(f *testing.F) {
	_, request, err := NewRequest("x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if c, err := Parse(file); err == nil && !SoundTopic(c.Topic) {
			t.Errorf("topic %q", c.Topic)
		}
		if r, err := ParseRequest(file); err == nil && r.CheckSignature() != nil {
			t.Error("a request that is not signed was taken")
		}
		_, _ = parseKey(file)
	})
}
