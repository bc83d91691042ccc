package certs_test

import (
	"errors"
	"testing"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

// TestExportTakenByTheApprover: whoever approved an export may make himself a token
// in the name of who asked, afterwards, and would have the keys by his hand alone.
func TestExportTakenByTheApprover(t *testing.T) {
	t.Parallel()
	s, d, _ := mailFixture(t)
	ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	first, second := audit.WithActor(t.Context(), "first"), audit.WithActor(t.Context(), "second")
	e := must(s.RequestExport(first, certs.SMIMEExportRequest{UPN: "alice@corp.test", Reason: "court order"}))
	must(s.ApproveExport(second, e.ID))
	s.Hands = hands{{"first", "second"}: true} // "first" has a token now that "second" made
	if _, err := s.TakeExport(first, e.ID, secret.New("a long password"), false); !errors.Is(err, certs.ErrSameHand) {
		t.Errorf("got %v", err)
	}
	if got := must(d.Export(t.Context(), e.ID)); !got.TakenAt.IsZero() {
		t.Error("it was taken")
	}
}
