package certs_test

import (
	"context"
	"errors"
	"testing"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/secret"
)

// as is a caller with a token of that owner: always the same one.
func as(ctx context.Context, owner string) context.Context {
	return withToken(ctx, owner, "token of "+owner)
}

func withToken(ctx context.Context, owner, id string) context.Context {
	return auth.WithPrincipal(audit.WithActor(ctx, owner), auth.Principal{TokenID: id, Owner: owner, Role: auth.Admin})
}

// TestExportTakenInAnothersName: any admin can make a token in the name of who
// asked. The keys leave by the token that asked, and no other.
func TestExportTakenInAnothersName(t *testing.T) {
	t.Parallel()
	s, d, _ := mailFixture(t)
	ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	ask := certs.SMIMEExportRequest{UPN: "alice@corp.test", Reason: "court order"}
	if _, err := s.RequestExport(audit.WithActor(t.Context(), "first"), ask); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("asked for without a token: got %v", err)
	}
	e := must(s.RequestExport(as(t.Context(), "first"), ask))
	must(s.ApproveExport(as(t.Context(), "second"), e.ID))
	take := func(ctx context.Context) error {
		_, err := s.TakeExport(ctx, e.ID, secret.New("a long password"), false)
		return err
	}
	for name, ctx := range map[string]context.Context{
		"another token in that name": withToken(t.Context(), "first", "made by a third admin"),
		"no token":                   audit.WithActor(t.Context(), "first"),
	} {
		if err := take(ctx); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := take(as(t.Context(), "first")); err != nil {
		t.Error(err)
	}

	old := must(s.RequestExport(as(t.Context(), "first"), ask))
	must(s.ApproveExport(as(t.Context(), "second"), old.ID))
	old = must(d.Export(t.Context(), old.ID))
	old.RequestedToken = "" // asked for of an earlier release
	d.exports[old.ID], e = old, old
	for _, ctx := range []context.Context{as(t.Context(), "first"), audit.WithActor(t.Context(), "first"), withToken(t.Context(), "first", "")} {
		if err := take(ctx); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("without a token on record: got %v", err)
		}
	}
}

// TestExportTakenByTheApprover: whoever approved an export may make himself a token
// in the name of who asked, afterwards, and would have the keys by his hand alone.
func TestExportTakenByTheApprover(t *testing.T) {
	t.Parallel()
	s, d, _ := mailFixture(t)
	ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	first, second := as(t.Context(), "first"), as(t.Context(), "second")
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
