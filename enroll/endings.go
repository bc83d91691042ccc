package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"sallyport/certs"
	"sallyport/internal/cms"
	"sallyport/internal/lapse"
)

// Ending is when a certificate of our own ends.
type Ending struct {
	Role        string      `json:"role"` // root, intermediate, issuing, scep-ra, profile-signer, server
	State       string      `json:"state,omitempty"`
	Subject     string      `json:"subject"`
	Fingerprint string      `json:"fingerprint"`
	NotAfter    time.Time   `json:"not_after"`
	DaysLeft    int         `json:"days_left"`
	Stage       lapse.Stage `json:"stage"`
	Next        string      `json:"next,omitempty"` // what a person has to do; empty while nothing is
}

// IdentityEndings counts the identities of active enrolments that end soon.
type IdentityEndings struct {
	Within30 int `json:"within_30_days"` // and are good now
	Within7  int `json:"within_7_days"`  // of those
	Waiting  int `json:"waiting"`        // enrolments that were asked to renew, or will be

	// Those that were enrolled by hand (SCEP), which nobody but their device renews.
	ByHand30 int `json:"by_hand_within_30_days"`
	ByHand7  int `json:"by_hand_within_7_days"`
}

// ListState is the state of the revocation list of one issuing certificate.
type ListState struct {
	Issuer       string    `json:"issuer"`
	SubjectKeyID string    `json:"subject_key_id"`
	ThisUpdate   time.Time `json:"this_update"`
	NextUpdate   time.Time `json:"next_update"`
	Revoked      int       `json:"revoked"`
}

// Endings is what ends, and when.
type Endings struct {
	Own        []Ending        `json:"own"`
	Lists      []ListState     `json:"crls"`
	Identities IdentityEndings `json:"identities"`
}

// EndingStore counts identities. internal/store implements it.
type EndingStore interface {
	// CountEndings counts, at now, the identities that ExpiringIdentities would
	// list and those that it leaves out because they wait, without the expired ones;
	// and beside them those that were enrolled by hand: they belong to no enrolment,
	// are no S/MIME key of ours, and no certificate came of their own signature yet.
	CountEndings(ctx context.Context, now time.Time) (IdentityEndings, error)
}

// OwnCertificates are those that we use ourselves. *certs.Authority has them.
type OwnCertificates interface {
	List() []certs.AuthorityInfo
	Expiring(now time.Time) []certs.AuthorityInfo
	RA() cms.Identity
}

// RevocationLists makes them. *certs.CRLs does.
type RevocationLists interface {
	CRL(ctx context.Context, issuerKeyID string) (der []byte, nextUpdate time.Time, err error)
}

var (
	_ OwnCertificates = (*certs.Authority)(nil)
	_ RevocationLists = (*certs.CRLs)(nil)
)

// Watch knows when certificates end. Its fields are needed except where they say otherwise.
type Watch struct {
	Authority OwnCertificates
	Lists     RevocationLists
	Phones    EndingStore
	Signer    func() *x509.Certificate // that signs profiles now
	Server    func() *x509.Certificate // that TLS shows now
	Now       func() time.Time         // nil means time.Now
	Log       *slog.Logger             // nil means no log
}

// Endings tells all of it.
func (w *Watch) Endings(ctx context.Context) (Endings, error) {
	now := moment(w.Now)
	e := Endings{Own: w.own(now), Lists: []ListState{}}
	var err error
	for _, a := range w.Authority.List() {
		if a.Role != issuingRole || a.State == certs.StateRetired {
			continue
		}
		list, err := w.list(ctx, a)
		if err != nil {
			return Endings{}, err
		}
		e.Lists = append(e.Lists, list)
	}
	if e.Identities, err = w.Phones.CountEndings(ctx, now); err != nil {
		return Endings{}, fmt.Errorf("count identities that end: %w", err)
	}
	return e, nil
}

func (w *Watch) list(ctx context.Context, a certs.AuthorityInfo) (ListState, error) {
	der, next, err := w.Lists.CRL(ctx, a.SubjectKeyID)
	if err != nil {
		return ListState{}, fmt.Errorf("revocation list of %s: %w", a.Subject, err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return ListState{}, fmt.Errorf("revocation list of %s: %w", a.Subject, err)
	}
	return ListState{Issuer: a.Subject, SubjectKeyID: a.SubjectKeyID, ThisUpdate: list.ThisUpdate.UTC(), NextUpdate: next.UTC(),
		Revoked: len(list.RevokedCertificateEntries)}, nil
}

// identityYear: an issuing certificate that ends sooner cuts short what it issues.
const identityYear = 365 * 24 * time.Hour

// own are our certificates that are trusted still. Those that renew by themselves
// need a person only when they did not.
func (w *Watch) own(now time.Time) []Ending {
	advice := map[string]string{}
	for _, a := range w.Authority.Expiring(now) {
		if a.NotAfter.Sub(now) < identityYear {
			advice[a.Fingerprint] = a.Advice
		}
	}
	list := []Ending{}
	for _, a := range w.Authority.List() {
		if a.State == certs.StateRetired {
			continue
		}
		list = append(list, Ending{Role: a.Role, State: string(a.State), Subject: a.Subject, Fingerprint: a.Fingerprint,
			NotAfter: a.NotAfter, DaysLeft: lapse.DaysLeft(a.NotAfter, now), Stage: lapse.At(a.NotAfter, now), Next: advice[a.Fingerprint]})
	}
	return append(list, used("scep-ra", w.Authority.RA().Certificate, now), used("profile-signer", w.Signer(), now), used("server", w.Server(), now))
}

// used is a certificate that something else replaces: Maintain, or whoever gave it.
func used(role string, cert *x509.Certificate, now time.Time) Ending {
	sum := sha256.Sum256(cert.Raw)
	e := Ending{Role: role, Subject: cert.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]),
		NotAfter: cert.NotAfter.UTC(), DaysLeft: lapse.DaysLeft(cert.NotAfter, now), Stage: lapse.At(cert.NotAfter, now)}
	if e.Stage == lapse.Days7 || e.Stage == lapse.Expired {
		e.Next = "where it was given to the server, renew it; one of our own is renewed by itself: look at the server's log for why it was not"
	}
	return e
}

// Alarm logs what a person has to do. It is a step: once a day.
func (w *Watch) Alarm(ctx context.Context) (more bool, err error) {
	e, err := w.Endings(ctx)
	if err != nil {
		return false, err
	}
	for _, own := range e.Own {
		if own.Next != "" {
			logger(w.Log).WarnContext(ctx, "a certificate of our own ends", slog.String("role", own.Role), slog.String("subject", own.Subject),
				slog.String("stage", string(own.Stage)), slog.Time("not_after", own.NotAfter), slog.String("next", own.Next))
		}
	}
	if e.Identities.ByHand7 > 0 {
		logger(w.Log).WarnContext(ctx, "certificates that were enrolled by hand end within a week: their devices have to renew them, or enrol again",
			slog.Int("count", e.Identities.ByHand7))
	}
	if e.Identities.Within7 > 0 {
		logger(w.Log).WarnContext(ctx, "identities of phones end within a week: those phones have to come to be renewed, or enrol again",
			slog.Int("count", e.Identities.Within7), slog.Int("waiting", e.Identities.Waiting))
	}
	return false, nil
}
