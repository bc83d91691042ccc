package enroll

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Roles of certs.AuthorityInfo.
const (
	rootRole    = "root"
	issuingRole = "issuing"
)

// Successions is the part of the authority that a rollover needs. *certs.Authority is one.
type Successions interface {
	List() []certs.AuthorityInfo
	Activate(ctx context.Context, fingerprint string) (certs.AuthorityInfo, error)
	Retire(ctx context.Context, fingerprint string) error
}

// Hanging knows what hangs under issuing certificates. internal/store implements it.
type Hanging interface {
	// CountValid is that of certs.RevocationStore.
	CountValid(ctx context.Context, now time.Time) (map[string]int, error)
	// CountPinned counts the active enrolments that are pinned to a certificate of
	// this issuer (hex of its SubjectKeyId) which is neither revoked nor expired at now.
	CountPinned(ctx context.Context, issuer string, now time.Time) (int, error)
	// RevokeUnder revokes (cessationOfOperation) all certificates of this issuer that
	// are neither revoked nor expired at now, some at a time: each time with the entry
	// and, for the active enrolments concerned, EventIdentity. It returns how many, also
	// where it was interrupted: whoever calls it again goes on. Rows without an
	// issuer are read for theirs.
	RevokeUnder(ctx context.Context, issuer string, now time.Time, entry audit.Entry) (int, error)
}

// Rollover puts a new issuing certificate to use, and ends an old one, when the
// fleet is ready for it. Its fields are needed except where they say otherwise.
type Rollover struct {
	Authority Successions
	Renewals  RenewalStore
	Phones    UntoldStore
	Issued    Hanging
	Now       func() time.Time // nil means time.Now
}

// Step is what a rollover did, or would do.
type Step struct {
	Authority certs.AuthorityInfo
	Untold    int // active phones whose enrolment profile knows nothing of its root
	Valid     int // certificates under it that are neither revoked nor expired
	Phones    int // Retire: active phones whose management identity is one of these, and which have to enrol again
	Refused   refusal.List
}

// Overview tells every certificate of the authority with what hangs under it,
// and of those that wait to be used how many phones do not know their root.
func (r *Rollover) Overview(ctx context.Context) ([]Step, error) {
	valid, err := r.Issued.CountValid(ctx, moment(r.Now))
	if err != nil {
		return nil, fmt.Errorf("count certificates: %w", err)
	}
	all := r.Authority.List()
	steps := make([]Step, len(all))
	for i, a := range all {
		steps[i].Authority = a
		if a.Role != issuingRole {
			continue
		}
		steps[i].Valid = valid[a.SubjectKeyID]
		if a.State != certs.StateStaged {
			continue
		}
		if steps[i].Untold, err = r.untold(ctx, a); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// Activate lets the staged or old certificate sign from now on. Phones that do
// not know its root would refuse what it signs (our server, our profiles): while
// there are such, that is ErrConflict unless forced. A dry run does nothing, and
// says what would stand in the way.
func (r *Rollover) Activate(ctx context.Context, fingerprint string, force, dryRun bool) (Step, error) {
	s, err := r.find(fingerprint)
	if err != nil {
		return s, err
	}
	if s.Authority.State == certs.StateRetired {
		return s, refusal.New(ErrConflict, "fingerprint", "is retired: phones do not trust it any more", "make a new one: sallyport ca rollover, or sallyport ca import")
	}
	if moment(r.Now).After(s.Authority.NotAfter) {
		return s, refusal.New(ErrConflict, "fingerprint", "expired on "+s.Authority.NotAfter.UTC().Format(time.DateOnly), "make a new one: sallyport ca rollover, or sallyport ca csr")
	}
	if s.Untold, err = r.untold(ctx, s.Authority); err != nil {
		return s, err
	}
	if s.Untold > 0 {
		s.Refused.Add(refusal.New(ErrConflict, "force", fmt.Sprintf("active phones that do not know the root of this certificate, and would refuse what it signs: %d", s.Untold),
			"wait: they are told by their enrolment profile, which is being sent to them again; sallyport ca activate --dry-run names them; or force it, and those phones enrol again"))
	}
	if dryRun || len(s.Refused) > 0 && !force {
		return s, s.answer(dryRun)
	}
	s.Authority, err = r.Authority.Activate(ctx, s.Authority.Fingerprint)
	return s, err
}

// Retire ends the trust in an issuing certificate that is not the active one.
// While valid certificates hang under it, that is ErrConflict unless forced. Then
// they are revoked: what nobody trusts is not valid, and the verdict on a phone that
// is refused must say so. Finish goes on where that is interrupted.
func (r *Rollover) Retire(ctx context.Context, fingerprint string, force, dryRun bool) (Step, error) {
	s, err := r.find(fingerprint)
	if err != nil {
		return s, err
	}
	if s.Authority.State == certs.StateActive {
		return s, refusal.New(ErrConflict, "fingerprint", "is the one that signs", "activate another one first: sallyport ca activate FINGERPRINT")
	}
	valid, err := r.Issued.CountValid(ctx, moment(r.Now))
	if err != nil {
		return s, fmt.Errorf("count certificates: %w", err)
	}
	// Rows older than their issuer's field may hang under any of them.
	if s.Valid = valid[s.Authority.SubjectKeyID] + valid[""]; s.Valid > 0 {
		s.Refused.Add(refusal.New(ErrConflict, "force", fmt.Sprintf("valid certificates that hang under it, and would be refused: %d", s.Valid),
			"wait until they are renewed: sallyport ca show counts them; or force it, and those phones enrol again"))
		if s.Phones, err = r.Issued.CountPinned(ctx, s.Authority.SubjectKeyID, moment(r.Now)); err != nil {
			return s, fmt.Errorf("count phones: %w", err)
		}
	}
	if dryRun || len(s.Refused) > 0 && !force {
		return s, s.answer(dryRun)
	}
	if err := r.Authority.Retire(ctx, s.Authority.Fingerprint); err != nil {
		return s, err
	}
	if s.Authority, err = r.authority(s.Authority.Fingerprint); err != nil {
		return s, err
	}
	return s, r.revoke(ctx, s.Authority)
}

// Finish revokes what is still valid under retired issuing certificates: a server
// may have been stopped in the middle of that, or another one have issued something
// just then. It is a step.
func (r *Rollover) Finish(ctx context.Context) (more bool, err error) {
	for _, a := range r.Authority.List() {
		if a.Role == issuingRole && a.State == certs.StateRetired {
			if err := r.revoke(ctx, a); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func (r *Rollover) revoke(ctx context.Context, a certs.AuthorityInfo) error {
	if !Distrusted(r.Authority.List(), a.SubjectKeyID) { // the same key was certified again
		return nil
	}
	now := moment(r.Now)
	entry := audit.New(ctx, now, "certificate.revoke", a.SubjectKeyID, audit.Done,
		"of", "everything under this issuing certificate", "authority", a.Fingerprint, "reason", certs.ReasonCessationOfOperation.String())
	if _, err := r.Issued.RevokeUnder(ctx, a.SubjectKeyID, now, entry); err != nil {
		return fmt.Errorf("revoke what hangs under the retired certificate (it is tried again within minutes): %w", err)
	}
	return nil
}

// Distrusted reports whether the issuing certificate of that SubjectKeyId (in hex)
// was retired, and no other has its key.
func Distrusted(all []certs.AuthorityInfo, subjectKeyID string) bool {
	retired := false
	for _, a := range all {
		if a.Role != issuingRole || a.SubjectKeyID != subjectKeyID {
			continue
		}
		if a.State != certs.StateRetired {
			return false
		}
		retired = true
	}
	return retired
}

// answer is what stands in the way, unless somebody only asks.
func (s Step) answer(dryRun bool) error {
	if dryRun {
		return nil
	}
	return s.Refused.OrNil()
}

// find refuses what names no issuing certificate.
func (r *Rollover) find(fingerprint string) (Step, error) {
	a, err := r.authority(fingerprint)
	if err != nil {
		return Step{}, err
	}
	if a.Role != issuingRole {
		return Step{}, refusal.New(ErrInvalid, "fingerprint", "is that of the "+a.Role+" certificate, not of an issuing one", "see: sallyport ca show")
	}
	return Step{Authority: a}, nil
}

func (r *Rollover) authority(fingerprint string) (certs.AuthorityInfo, error) {
	for _, a := range r.Authority.List() {
		if strings.EqualFold(a.Fingerprint, fingerprint) {
			return a, nil
		}
	}
	return certs.AuthorityInfo{}, refusal.New(certs.ErrNotFound, "fingerprint", "no certificate of the authority has it", "see: sallyport ca show")
}

// untoldPage is how many identities are counted at a time.
const untoldPage = 1000

// untold counts the active phones that got their enrolment profile before the
// root of this certificate was on record. Who is to be told and has not renewed
// yet counts too.
func (r *Rollover) untold(ctx context.Context, a certs.AuthorityInfo) (int, error) {
	root, ok := r.root(a)
	if !ok || r.first(root) {
		return 0, nil
	}
	n, after := 0, mdm.EnrollmentID("")
	for {
		page, err := r.Renewals.UntoldIdentities(ctx, root.CreatedAt, true, after, untoldPage)
		if err != nil {
			return 0, fmt.Errorf("count phones that know no root: %w", err)
		}
		n += len(page)
		if len(page) < untoldPage {
			return n, nil
		}
		after = page[len(page)-1].EnrollmentID
	}
}

// first reports whether no other root is older: every phone knows that one.
func (r *Rollover) first(root certs.AuthorityInfo) bool {
	return !slices.ContainsFunc(r.Authority.List(), func(a certs.AuthorityInfo) bool {
		return a.Role == rootRole && a.CreatedAt.Before(root.CreatedAt)
	})
}

// root is the end of the chain above a. Of roots that share a name the newest
// counts: it is the one that fewer phones know.
func (r *Rollover) root(a certs.AuthorityInfo) (certs.AuthorityInfo, bool) {
	all := r.Authority.List()
	for range all { // a chain is no longer than that
		above, ok := issuerOf(a, all)
		if !ok || above.Role == rootRole {
			return above, ok
		}
		a = above
	}
	return certs.AuthorityInfo{}, false
}

func issuerOf(a certs.AuthorityInfo, all []certs.AuthorityInfo) (found certs.AuthorityInfo, ok bool) {
	for _, above := range all {
		if above.Subject != a.Issuer || above.Fingerprint == a.Fingerprint || above.State == certs.StateRetired {
			continue
		}
		if !ok || above.CreatedAt.After(found.CreatedAt) {
			found, ok = above, true
		}
	}
	return found, ok
}
