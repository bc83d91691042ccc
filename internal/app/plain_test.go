package app

import (
	"net"
	"testing"

	"sallyport/internal/config"
)

type boundTo struct {
	net.Listener
	address net.TCPAddr
}

func (b boundTo) Addr() net.Addr { return &b.address }

func TestHTTPURL(t *testing.T) {
	t.Parallel()
	at := func(port int) net.Listener {
		return boundTo{address: net.TCPAddr{IP: net.IPv4zero, Port: port}}
	}
	for _, tt := range []struct {
		given, public string
		plain         net.Listener
		want          string
	}{
		{"http://crl.example.test", "https://mdm.example.test", at(8080), "http://crl.example.test"},
		{"", "https://mdm.example.test:8443", nil, "https://mdm.example.test:8443"},
		{"", "https://mdm.example.test:8443", at(8080), "http://mdm.example.test:8080"},
		{"", "https://mdm.example.test", at(80), "http://mdm.example.test"},
		{"", "https://[2001:db8::1]", at(80), "http://[2001:db8::1]"},
		{"", "https://[2001:db8::1]", at(8080), "http://[2001:db8::1]:8080"},
		{"", "https://192.0.2.1", at(80), "http://192.0.2.1"},
	} {
		if got := httpURL(config.Config{HTTPURL: tt.given}, tt.public, tt.plain); got != tt.want {
			t.Errorf("%q, %s: %s, want %s", tt.given, tt.public, got, tt.want)
		}
	}
}
