package config

import "testing"

func TestNetworks(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"", ""},
		{"192.0.2.7", "192.0.2.7/32"},
		{"192.0.2.7, 10.0.0.0/8", "192.0.2.7/32, 10.0.0.0/8"},
		{"10.0.0.0/8 2001:db8::/32,::1", "10.0.0.0/8, 2001:db8::/32, ::1/128"},
	}
	for _, tt := range tests {
		got, err := networks(tt.text)
		if err != nil || spell(got) != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.text, spell(got), err, tt.want)
		}
	}
	for _, text := range []string{
		"proxy.example.test", "10.0.0.0/33", "10.0.0.1/8", "0.0.0.0/0", "::/0", "::ffff:10.0.0.1", "fe80::1%eth0", "10.0.0.1:443", "10.0.0.0-10.0.0.9",
	} {
		if got, err := networks(text); err == nil {
			t.Errorf("%q: got %v, want a refusal", text, got)
		}
	}
}
