package enroll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// line is an authority of two roots, each with an issuing certificate under it,
// the newer by way of an intermediate.
type line struct {
	all       []certs.AuthorityInfo
	activated []string
	retired   []string
}

var rootedAt = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func newLine() *line {
	return &line{all: []certs.AuthorityInfo{
		{Role: "root", State: certs.StateStaged, Fingerprint: "r2", Subject: "CN=R2", Issuer: "CN=R2", CreatedAt: rootedAt},
		{Role: "root", State: certs.StateActive, Fingerprint: "r1", Subject: "CN=R1", Issuer: "CN=R1", CreatedAt: rootedAt.AddDate(-1, 0, 0)},
		{Role: "intermediate", State: certs.StateStaged, Fingerprint: "m2", Subject: "CN=M2", Issuer: "CN=R2", CreatedAt: rootedAt},
		{Role: "issuing", State: certs.StateStaged, Fingerprint: "i2", Subject: "CN=I2", Issuer: "CN=M2", SubjectKeyID: "02", CreatedAt: rootedAt, NotAfter: rootedAt.AddDate(500, 0, 0)},
		{Role: "issuing", State: certs.StateActive, Fingerprint: "i1", Subject: "CN=I1", Issuer: "CN=R1", SubjectKeyID: "01", CreatedAt: rootedAt.AddDate(-1, 0, 0), NotAfter: rootedAt.AddDate(500, 0, 0)},
		{Role: "issuing", State: certs.StateOld, Fingerprint: "ix", Subject: "CN=IX", Issuer: "CN=R1", SubjectKeyID: "0f", CreatedAt: rootedAt.AddDate(-1, 0, 0), NotAfter: rootedAt},
		{Role: "issuing", State: certs.StateRetired, Fingerprint: "i0", Subject: "CN=I0", Issuer: "CN=R1", SubjectKeyID: "00", CreatedAt: rootedAt.AddDate(-2, 0, 0)},
	}}
}

func (l *line) List() []certs.AuthorityInfo { return l.all }

func (l *line) Activate(_ context.Context, fingerprint string) (certs.AuthorityInfo, error) {
	l.activated = append(l.activated, fingerprint)
	return certs.AuthorityInfo{Role: "issuing", State: certs.StateActive, Fingerprint: fingerprint}, nil
}

func (l *line) Retire(_ context.Context, fingerprint string) error {
	l.retired = append(l.retired, fingerprint)
	for i := range l.all {
		if l.all[i].Fingerprint == fingerprint {
			l.all[i].State = certs.StateRetired
		}
	}
	return nil
}

// untoldPhones lists n phones that were enrolled in October.
type untoldPhones struct {
	RenewalStore
	n     int
	since time.Time
}

func (u *untoldPhones) UntoldIdentities(_ context.Context, since time.Time, waiting bool, after mdm.EnrollmentID, limit int) ([]Identity, error) {
	u.since = since
	var page []Identity
	for i := range u.n {
		id := mdm.EnrollmentID(fmt.Sprintf("e%06d", i))
		if waiting && since.After(rootedAt.AddDate(0, -1, 0)) && id > after && len(page) < limit {
			page = append(page, Identity{EnrollmentID: id})
		}
	}
	return page, nil
}

func (u *untoldPhones) UntoldPhones(ctx context.Context, since time.Time, after mdm.EnrollmentID, limit int) ([]UntoldPhone, error) {
	page, err := u.UntoldIdentities(ctx, since, true, after, limit)
	var phones []UntoldPhone
	for _, i := range page {
		phones = append(phones, UntoldPhone{EnrollmentID: i.EnrollmentID})
	}
	return phones, err
}

type hanging map[string]int

func (h hanging) CountValid(context.Context, time.Time) (map[string]int, error) { return h, nil }

// Of all that hangs under an issuer one is no phone's.
func (h hanging) CountPinned(_ context.Context, issuer string, _ time.Time) (int, error) {
	return max(0, h[issuer]-1), nil
}

func (h hanging) RevokeUnder(_ context.Context, issuer string, _ time.Time, _ audit.Entry) (int, error) {
	n := h[issuer]
	delete(h, issuer)
	return n, nil
}

func TestActivateWaitsForPhones(t *testing.T) {
	t.Parallel()
	l, phones := newLine(), &untoldPhones{n: 2*untoldPage + 7}
	r := &Rollover{Authority: l, Renewals: phones, Issued: hanging{}, Now: func() time.Time { return rootedAt.AddDate(0, 0, 20) }}
	s, err := r.Activate(t.Context(), "I2", false, false)
	if !errors.Is(err, ErrConflict) || s.Untold != phones.n || len(l.activated) != 0 || !phones.since.Equal(rootedAt) {
		t.Fatalf("%+v, %v, activated %v, since %s", s, err, l.activated, phones.since)
	}
	if all := refusal.All(err); len(all) != 1 || all[0].Remedy == "" || !strings.HasSuffix(all[0].Reason, ": 2007") {
		t.Errorf("%v", err)
	}
	if s, err = r.Activate(t.Context(), "i2", true, true); err != nil || s.Untold != phones.n || len(s.Refused) != 1 || len(l.activated) != 0 {
		t.Errorf("dry run: %+v, %v, activated %v", s, err, l.activated)
	}
	if s, err = r.Activate(t.Context(), "i2", true, false); err != nil || s.Authority.State != certs.StateActive || len(l.activated) != 1 {
		t.Errorf("forced: %+v, %v, activated %v", s, err, l.activated)
	}
	phones.n = 0
	if _, err = r.Activate(t.Context(), "i2", false, false); err != nil || len(l.activated) != 2 {
		t.Errorf("all told: %v, activated %v", err, l.activated)
	}
}

// Every phone knows the first root, whenever its profile was made.
func TestActivateUnderTheFirstRoot(t *testing.T) {
	t.Parallel()
	l := newLine()
	s, err := (&Rollover{Authority: l, Renewals: &untoldPhones{n: 3}, Issued: hanging{}}).Activate(t.Context(), "i1", false, false)
	if err != nil || s.Untold != 0 || len(l.activated) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRetireWaitsForCertificates(t *testing.T) {
	t.Parallel()
	l, issued := newLine(), hanging{"01": 5, "02": 3, "": 1}
	r := &Rollover{Authority: l, Renewals: &untoldPhones{}, Issued: issued}
	s, err := r.Retire(t.Context(), "i2", false, false)
	if !errors.Is(err, ErrConflict) || s.Valid != 4 || len(l.retired) != 0 {
		t.Fatalf("%+v, %v, retired %v", s, err, l.retired)
	}
	if s, err = r.Retire(t.Context(), "i2", false, true); err != nil || len(s.Refused) != 1 || s.Phones != 2 || len(l.retired) != 0 || issued["02"] != 3 {
		t.Errorf("dry run: %+v, %v, retired %v", s, err, l.retired)
	}
	if s, err = r.Retire(t.Context(), "i2", true, false); err != nil || s.Authority.State != certs.StateRetired || s.Phones != 2 || len(l.retired) != 1 {
		t.Errorf("forced: %+v, %v, retired %v", s, err, l.retired)
	}
	if issued["01"] != 5 || issued["02"] != 0 {
		t.Errorf("still valid: %v", issued)
	}
}

// TestFinishRetiring: what was valid under a retired certificate when a server was
// stopped does not stay so; unless its key has another certificate, which is trusted.
func TestFinishRetiring(t *testing.T) {
	t.Parallel()
	l, issued := newLine(), hanging{"00": 4, "01": 5, "02": 3, "0f": 1}
	r := &Rollover{Authority: l, Issued: issued}
	if more, err := r.Finish(t.Context()); more || err != nil || !maps.Equal(issued, hanging{"01": 5, "02": 3, "0f": 1}) {
		t.Errorf("%v, %v, still valid: %v", more, err, issued)
	}
	l.all = append(l.all, certs.AuthorityInfo{Role: "issuing", State: certs.StateRetired, Fingerprint: "i1 before", SubjectKeyID: "01"})
	if _, err := r.Finish(t.Context()); err != nil || issued["01"] != 5 {
		t.Errorf("%v, still valid: %v", err, issued)
	}
}

func TestRolloverRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		act  func(*Rollover) (Step, error)
		want error
	}{
		"activate unknown":      {func(r *Rollover) (Step, error) { return r.Activate(t.Context(), "xx", true, false) }, certs.ErrNotFound},
		"activate a root":       {func(r *Rollover) (Step, error) { return r.Activate(t.Context(), "r2", true, false) }, ErrInvalid},
		"activate the retired":  {func(r *Rollover) (Step, error) { return r.Activate(t.Context(), "i0", true, true) }, ErrConflict},
		"activate the expired":  {func(r *Rollover) (Step, error) { return r.Activate(t.Context(), "ix", true, true) }, ErrConflict},
		"retire the active":     {func(r *Rollover) (Step, error) { return r.Retire(t.Context(), "i1", true, false) }, ErrConflict},
		"retire a root":         {func(r *Rollover) (Step, error) { return r.Retire(t.Context(), "r1", true, false) }, ErrInvalid},
		"retire what is not on": {func(r *Rollover) (Step, error) { return r.Retire(t.Context(), "", true, false) }, certs.ErrNotFound},
	} {
		l := newLine()
		_, err := tt.act(&Rollover{Authority: l, Renewals: &untoldPhones{}, Issued: hanging{}})
		if all := refusal.All(err); !errors.Is(err, tt.want) || len(all) != 1 || all[0].Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
		if len(l.activated)+len(l.retired) != 0 {
			t.Errorf("%s: something was done", name)
		}
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	steps, err := (&Rollover{Authority: newLine(), Renewals: &untoldPhones{n: 3}, Issued: hanging{"01": 5}}).Overview(t.Context())
	if err != nil || len(steps) != 7 {
		t.Fatalf("%+v, %v", steps, err)
	}
	for _, s := range steps {
		want := Step{Authority: s.Authority}
		switch s.Authority.Fingerprint {
		case "i1":
			want.Valid = 5
		case "i2":
			want.Untold = 3
		}
		if s.Valid != want.Valid || s.Untold != want.Untold {
			t.Errorf("%s: %d valid, %d untold", s.Authority.Fingerprint, s.Valid, s.Untold)
		}
	}
}
