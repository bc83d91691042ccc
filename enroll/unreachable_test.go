package enroll

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/mdm"
)

// TestUnreachable: nothing is promised of a phone whose identity is worth nothing.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.configured(t)
	e := p.enrollment(t)
	cert := h.certs[e.CertificateHash]
	order := func(kind mdm.ActionKind, name string, force bool) error {
		_, _, err := h.enroll.Order(t.Context(), OrderRequest{DeviceID: e.DeviceID, Kind: kind, Parameters: mdm.ActionParameters{Name: name}, Force: force, Role: auth.Admin, Confirm: "iPhone"})
		return err
	}
	for name, spoil := range map[string]func(){
		"revoked": func() { c := cert; c.RevokedAt = h.now(); h.certs[e.CertificateHash] = c },
		"expired": func() { c := cert; c.NotAfter = h.now(); h.certs[e.CertificateHash] = c },
	} {
		spoil()
		row, err := h.enroll.Device(t.Context(), e.DeviceID)
		if err != nil {
			t.Fatal(err)
		}
		able, err := h.enroll.Capabilities(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range able {
			if c.Possible != (c.Kind == mdm.ActionRename) || !c.Possible && !strings.Contains(c.Reason, name) {
				t.Errorf("%s: %+v", name, c)
			}
		}
		for _, kind := range []mdm.ActionKind{mdm.ActionResend, mdm.ActionLock, mdm.ActionSelectiveWipe, mdm.ActionRetire} {
			if err := order(kind, "", false); !errors.Is(err, ErrAction) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %s: %v", name, kind, err)
			}
		}
		if err := order(mdm.ActionRename, "Alice's", false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
