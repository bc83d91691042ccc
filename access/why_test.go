package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/mdm"
)

func links(key string) Links {
	return Links{Base: "https://mdm.example.test", MAC: func(purpose string, data []byte) []byte {
		h := hmac.New(sha256.New, []byte(key+purpose))
		h.Write(data)
		return h.Sum(nil)
	}}
}

const someDevice = DeviceID("01990000-0000-7000-8000-00000000000a")

func TestLinks(t *testing.T) {
	t.Parallel()
	l := links("k")
	address := l.Why(someDevice)
	token, ok := strings.CutPrefix(address, "https://mdm.example.test/access/why/")
	if !ok || len(token) != 43 {
		t.Fatalf("address %q", address)
	}
	if id, ok := l.Device(token); !ok || id != someDevice {
		t.Errorf("token leads to %q, %v", id, ok)
	}
	for _, id := range []DeviceID{"", "x", "01990000-0000-7000-8000-00000000000A", "{01990000-0000-7000-8000-00000000000a}"} {
		if got := l.Why(id); got != "" {
			t.Errorf("%q has the address %q", id, got)
		}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if id, ok := l.Device(base64.RawURLEncoding.EncodeToString(raw)); ok {
				t.Errorf("bit %d of byte %d changed: leads to %s", bit, i, id)
			}
			raw[i] ^= 1 << bit
		}
	}
	for _, wrong := range []string{"", token[:42], token + "A", token + "=", token[:42] + "\n" + token[42:], strings.ToLower(token), token[:42] + "_"} {
		if id, ok := l.Device(wrong); ok && wrong != token {
			t.Errorf("%q leads to %s", wrong, id)
		}
	}
	if _, ok := links("other").Device(token); ok {
		t.Error("another server's token leads somewhere")
	}
}

func FuzzLinksDevice(f *testing.F) {
	l := links("k")
	f.Add(strings.TrimPrefix(l.Why(someDevice), l.Base+WhyPath))
	f.Fuzz(func(t *testing.T, token string) {
		if id, ok := l.Device(token); ok && l.Why(id) != l.Base+WhyPath+token {
			t.Errorf("%q leads to %s, whose token is another", token, id)
		}
	})
}

type oneDevice struct {
	detail Detail
	err    error
}

func (o *oneDevice) Show(_ context.Context, id DeviceID) (Detail, error) {
	if id != o.detail.ID {
		return Detail{}, ErrNotFound
	}
	return o.detail, o.err
}

func TestTeller(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	l := links("k")
	token := strings.TrimPrefix(l.Why(someDevice), l.Base+WhyPath)
	o := &oneDevice{detail: Detail{
		DeviceRow: DeviceRow{UPN: "alice@example.test", Device: Device{ID: someDevice, Type: "iPhone", Effect: Block, SinceAt: at.Add(-time.Hour)}},
		Decision:  Decision{Effect: Block},
	}}
	teller := &Teller{Links: l, Devices: o, Now: func() time.Time { return at }}
	s, err := teller.Standing(t.Context(), token)
	if err != nil || s.Device.Type != "iPhone" || s.Decision.Effect != Block || !s.Since.Equal(at.Add(-time.Hour)) || !s.At.Equal(at) {
		t.Errorf("got %+v, %v", s, err)
	}
	o.detail.Decision.Effect = Allow // newer than what is published
	if s, err := teller.Standing(t.Context(), token); err != nil || !s.Since.IsZero() {
		t.Errorf("got %+v, %v, want no since of another answer", s, err)
	}
	if s.Model != "" || s.System != "" {
		t.Errorf("got %q, %q, want nothing that nobody told", s.Model, s.System)
	}
	for _, p := range []struct {
		proof                  Proof
		product, model, system string
	}{
		{ProofProbable, "iPhone15,4", "told", "iOS 25.0"}, // by the mail client: the phone may be another one
		{ProofReported, "iPhone15,4", "iPhone15,4", "iOS 26.1"},
		{ProofCertificate, "iPad13,1", "iPad13,1", "iPadOS 26.1"},
	} {
		o.detail.Model, o.detail.OS = "told", "iOS 25.0"
		o.detail.Phones = []Phone{{Proof: ProofReported}, {Proof: p.proof, Platform: mdm.Apple, Product: p.product, OSVersion: "26.1"}}
		if s, err := teller.Standing(t.Context(), token); err != nil || s.Model != p.model || s.System != p.system {
			t.Errorf("%s: got %q, %q, %v", p.proof, s.Model, s.System, err)
		}
	}
	o.err = ErrUnavailable
	if _, err := teller.Standing(t.Context(), token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := teller.Standing(t.Context(), token[:42]); !errors.Is(err, ErrNotFound) {
		t.Errorf("wrong token: got %v, want not found", err)
	}
	o.detail.ID = DeviceID(uuid.NewString())
	if _, err := teller.Standing(t.Context(), token); !errors.Is(err, ErrNotFound) {
		t.Errorf("device is gone: got %v, want not found", err)
	}
}
