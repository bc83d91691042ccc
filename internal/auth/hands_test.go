package auth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// TestSameHand: whoever makes a token holds it, whatever name it bears.
func TestSameHand(t *testing.T) {
	t.Parallel()
	s, store, _ := newService()
	made := func(by, owner string) auth.Issued {
		t.Helper()
		ctx := t.Context()
		if by != "" {
			ctx = auth.WithPrincipal(ctx, auth.Principal{Owner: by, Role: auth.Admin})
		}
		issued, err := s.Create(ctx, auth.Admin, owner, time.Hour)
		if err != nil || issued.CreatedBy != by {
			t.Fatalf("got %+v, %v", issued, err)
		}
		return issued
	}
	made("", auth.LocalOwner)
	made(auth.LocalOwner, "alice")
	made(auth.LocalOwner, "bob")
	sock := made("alice", "sock")
	made("sock", "glove")
	made("alice", "other sock")
	if err := s.Revoke(t.Context(), sock.ID); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"alice", "Alice ", true},
		{"alice", "bob", false},
		{auth.LocalOwner, "alice", false}, // else nobody could agree on a fresh installation
		{"alice", auth.LocalOwner, false},
		{"alice", "sock", true},
		{"SOCK", "alice", true},
		{"alice", "glove", true}, // made by what alice made
		{"glove", "other sock", true},
		{"glove", "bob", false},
		{"from an earlier release", "bob", false},
	} {
		got, err := s.SameHand(t.Context(), tt.a, tt.b)
		if err != nil || got != tt.want {
			t.Errorf("%q and %q: got %v, %v, want %v", tt.a, tt.b, got, err, tt.want)
		}
	}
	made("bob", "alice") // now bob may be alice
	if got, err := s.SameHand(t.Context(), "alice", "bob"); err != nil || !got {
		t.Errorf("got %v, %v", got, err)
	}
	store.trouble = errors.New("disk full")
	if _, err := s.SameHand(t.Context(), "alice", "bob"); !errors.Is(err, store.trouble) {
		t.Errorf("got %v", err)
	}
}

// TestLocalOwnerIsReserved: under its name somebody else's tokens would look like the server's.
func TestLocalOwnerIsReserved(t *testing.T) {
	t.Parallel()
	s, store, _ := newService()
	ctx := auth.WithPrincipal(context.Background(), auth.Principal{Owner: "alice", Role: auth.Admin})
	if _, err := s.Create(ctx, auth.Admin, " Local Admin ", time.Hour); !errors.Is(err, auth.ErrInvalid) || len(store.tokens) != 0 {
		t.Errorf("got %v and %d tokens", err, len(store.tokens))
	}
}
