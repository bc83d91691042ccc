package certs_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/certs"
	"sallyport/internal/audit"
)

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cert := f.mailIdentity(t, "e", newKey().Public())
	first, err := f.issuer.Revoke(t.Context(), strings.ToUpper(sum(cert)), certs.ReasonKeyCompromise)
	if err != nil || !first.RevokedAt.Equal(f.clock.Now().UTC().Truncate(1000)) || first.Reason != certs.ReasonKeyCompromise {
		t.Errorf("%+v, %v", first, err)
	}
	entry := f.store.entries[len(f.store.entries)-1]
	if entry.Action != "certificate.revoke" || entry.Target != sum(cert) || entry.Outcome != audit.Done || entry.Detail["reason"] != "keyCompromise" {
		t.Errorf("entry %+v", entry)
	}
	f.clock.advance(day)
	again, err := f.issuer.Revoke(t.Context(), sum(cert), certs.ReasonSuperseded)
	if err != nil || !again.RevokedAt.Equal(first.RevokedAt) || again.Reason != first.Reason {
		t.Errorf("revoked twice: %+v, %v", again, err)
	}
	if _, err := f.issuer.Revoke(t.Context(), "00", certs.ReasonUnspecified); !errors.Is(err, certs.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := f.issuer.Revoke(t.Context(), sum(cert), 6); !errors.Is(err, certs.ErrReasonInvalid) {
		t.Errorf("certificateHold: %v", err)
	}
	if list, err := f.issuer.List(t.Context(), certs.CertificateFilter{UserID: "user-1"}); err != nil || len(list) != 1 {
		t.Errorf("%d on the list, %v", len(list), err)
	}
	f.store.fail = errors.New("disk full")
	if _, err := f.issuer.List(t.Context(), certs.CertificateFilter{}); !errors.Is(err, f.store.fail) {
		t.Errorf("list: %v", err)
	}
}

func TestParseReason(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]certs.RevocationReason{
		"": 0, "unspecified": 0, "keyCompromise": 1, "KEYCOMPROMISE": 1, "affiliationChanged": 3, "superseded": 4, "cessationOfOperation": 5,
	} {
		if got, err := certs.ParseReason(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"cACompromise", "certificateHold", "removeFromCRL", "1", "lost"} {
		if _, err := certs.ParseReason(text); !errors.Is(err, certs.ErrReasonInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if certs.ReasonSuperseded.String() != "superseded" || certs.RevocationReason(6).String() != "6" || certs.RevocationReason(2).Valid() {
		t.Error("names of reasons")
	}
}
