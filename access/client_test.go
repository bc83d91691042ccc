package access_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/access"
)

func TestClientValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 129)
	tests := []struct {
		name string
		c    access.Client
		want string // the refused fields
	}{
		{"all there is", access.Client{User: `CORP\alice`, DeviceID: "ABC", Protocol: "16.1", Model: "iPhone15C4", OS: "iOS 26.1", Address: "2001:db8::1", Certificate: strings.Repeat("0f", 32)}, ""},
		{"long", access.Client{User: "a", DeviceID: "a", Protocol: long, Model: long, OS: long}, "protocol_version, model, os"},
		{"address with a port", access.Client{User: "a", DeviceID: "a", Address: "192.0.2.1:443"}, "address"},
		{"short digest", access.Client{User: "a", DeviceID: "a", Certificate: "0f"}, "certificate_sha256"},
		{"digest in capitals", access.Client{User: "a", DeviceID: "a", Certificate: strings.Repeat("0F", 32)}, "certificate_sha256"},
	}
	for _, tt := range tests {
		if err := tt.c.Validate(); fields(err) != tt.want || (tt.want != "") != errors.Is(err, access.ErrInvalid) {
			t.Errorf("%s: got %v, want refusals of %q", tt.name, err, tt.want)
		}
	}
}
