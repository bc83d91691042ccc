package mobileconfig

import (
	"strings"
	"testing"
)

func TestOutline(t *testing.T) {
	got := Outline(map[string]any{
		"PayloadType": "Configuration", "PayloadDisplayName": "Mail\x1b[2J", "PayloadVersion": uint64(1),
		"PayloadContent": []any{
			map[string]any{"PayloadType": "com.apple.eas.account", "Host": "mail.example.test", "SSL": true, "Password": "hunter2", "OverridePreviousPassword": false},
			map[string]any{"PayloadType": "com.apple.security.pkcs12", "PayloadContent": []byte("key"), "Password": "hunter2"},
			map[string]any{"PayloadType": "com.apple.security.scep", "PayloadContent": map[string]any{"Challenge": "hunter2", "URL": "https://x.test/scep"}},
			map[string]any{"PayloadType": "com.apple.security.root", "PayloadContent": []byte("not a certificate")},
		},
	})
	want := `PayloadType: Configuration
PayloadDisplayName: "Mail\x1b[2J"
PayloadVersion: 1
PayloadContent:
  1.
    PayloadType: com.apple.eas.account
    Host: mail.example.test
    OverridePreviousPassword: no
    Password: [redacted]
    SSL: yes
  2.
    PayloadType: com.apple.security.pkcs12
    Password: [redacted]
    PayloadContent: [redacted]
  3.
    PayloadType: com.apple.security.scep
    PayloadContent:
      Challenge: [redacted]
      URL: https://x.test/scep
  4.
    PayloadType: com.apple.security.root
    PayloadContent: 17 bytes, SHA-256 `
	if !strings.HasPrefix(got, want) || strings.Contains(got, "hunter2") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
