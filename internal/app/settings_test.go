package app

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// fixed is a settings table in memory.
type fixed map[string]string

func (f fixed) Setting(_ context.Context, name string) (string, error) { return f[name], nil }

func (f fixed) SetSettingOnce(_ context.Context, name, value string) (string, error) {
	if holds, ok := f[name]; ok {
		return holds, nil
	}
	f[name] = value
	return value, nil
}

func TestPublicURLIsFixedAtFirstStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                    string
		firstGiven, firstListen string
		given, listen           string
		want, refused           string // refused: the field that is named
		floating                bool
	}{
		{"given again", "https://mdm.example.com", "localhost:1", "https://mdm.example.com", "localhost:2", "https://mdm.example.com", "", false},
		{"left out later", "https://mdm.example.com", "localhost:1", "", "localhost:2", "https://mdm.example.com", "", false},
		{"another", "https://mdm.example.com", "localhost:1", "https://other.example.com", "localhost:1", "", "public_url", false},
		{"derived", "", "localhost:8443", "", "localhost:8443", "https://localhost:8443", "", false},
		{"derived, then said", "", "localhost:8443", "https://localhost:8443", "localhost:9", "https://localhost:8443", "", false},
		{"derived, another port", "", "localhost:8443", "", "localhost:9443", "", "listen", false},
		{"derived, a port that the system chose", "", "localhost:8443", "", "localhost:9443", "https://localhost:8443", "", true},
		{"derived, then real", "", "localhost:8443", "https://mdm.example.com", "localhost:8443", "", "public_url", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fixed{}
			first, err := publicURL(t.Context(), s, tt.firstGiven, tt.firstListen, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := fixPublicURL(t.Context(), s, first, tt.firstGiven); err != nil {
				t.Fatal(err)
			}
			got, err := publicURL(t.Context(), s, tt.given, tt.listen, tt.floating)
			if tt.refused != "" {
				if !errors.Is(err, ErrFixed) || !strings.HasPrefix(err.Error(), tt.refused+": ") || !strings.Contains(err.Error(), "start with --") {
					t.Errorf("got %v, want a refusal of %s with its remedy", err, tt.refused)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestTopicStaysWithTheInstallation(t *testing.T) {
	t.Parallel()
	s := fixed{}
	first, err := installation(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := installation(t.Context(), s)
	if err != nil || again != first {
		t.Fatalf("got %v, %v, want %v", again, err, first)
	}
	topic := placeholderTopic(first)
	id, err := uuid.Parse(strings.TrimPrefix(topic, topicPrefix))
	if err != nil || id.Version() != 5 || topic != placeholderTopic(again) {
		t.Errorf("got topic %q, %v", topic, err)
	}
	if other := placeholderTopic(uuid.New()); other == topic {
		t.Error("two installations share a topic")
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	bound := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8443} }
	tests := []struct {
		listen       string
		bound        net.Addr
		public, dial string
	}{
		{"localhost:8443", bound("127.0.0.1"), "localhost:8443", "127.0.0.1:8443"},
		{":8443", bound("::"), "localhost:8443", "localhost:8443"},
		{"0.0.0.0:0", bound("0.0.0.0"), "localhost:8443", "localhost:8443"},
		{"[::1]:8443", bound("::1"), "[::1]:8443", "[::1]:8443"},
		{"mdm.example.com:8443", bound("192.0.2.1"), "mdm.example.com:8443", "192.0.2.1:8443"},
	}
	for _, tt := range tests {
		if got := publicAddress(tt.listen, tt.bound); got != tt.public {
			t.Errorf("publicAddress(%s): got %s, want %s", tt.listen, got, tt.public)
		}
		if got := dialAddress(tt.bound); got != tt.dial {
			t.Errorf("dialAddress(%s): got %s, want %s", tt.bound, got, tt.dial)
		}
	}
}
