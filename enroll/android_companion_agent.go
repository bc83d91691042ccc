package enroll

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

var (
	// ErrAgent says that whoever comes as a companion app is none on an active phone.
	ErrAgent = errors.New("no companion app of an active phone")
	// ErrAgentKey says that a key's state, or the certificate that was told of,
	// does not allow what was asked.
	ErrAgentKey = errors.New("not possible with this key")
)

const (
	// agentChallengeTTL: the app asks when it is about to use it.
	agentChallengeTTL = 15 * time.Minute
	maxAgentReason    = 512
)

// agentToken is what the companion app on one phone shows. It is not kept: the
// enrolment's end is its end.
func (s *Service) agentToken(id mdm.EnrollmentID) string {
	return string(id) + "." + base64.RawURLEncoding.EncodeToString(s.MAC(purposeAgent, []byte(id)))
}

// agent finds the phone of a token. Nothing is looked up before the token is found
// to be ours.
func (a *Androids) agent(ctx context.Context, token string) (Have, AndroidPhone, error) {
	s := a.Service
	none := refusal.New(ErrAgent, "Authorization", "is no token of an enrolled phone", "read token from the managed configuration again")
	id, _, _ := strings.Cut(token, ".")
	if uuid.Validate(id) != nil || !hmac.Equal([]byte(token), []byte(s.agentToken(mdm.EnrollmentID(id)))) {
		return Have{}, AndroidPhone{}, none
	}
	p, err := a.Phones.AndroidPhoneOf(ctx, mdm.EnrollmentID(id))
	if errors.Is(err, ErrNotFound) {
		return Have{}, AndroidPhone{}, none
	}
	if err != nil {
		return Have{}, AndroidPhone{}, fmt.Errorf("look up android phone: %w", err)
	}
	have, err := s.Plans.LoadPlan(ctx, p.EnrollmentID)
	if err != nil {
		return Have{}, AndroidPhone{}, fmt.Errorf("load plan of enrolment %s: %w", p.EnrollmentID, err)
	}
	if !have.Enrollment.State.Active() {
		return Have{}, AndroidPhone{}, none
	}
	return have, p, nil
}

// AgentKeys are the keys of the phone whose app shows that token. ErrAgent for any
// other token.
func (a *Androids) AgentKeys(ctx context.Context, token string) ([]AgentKey, error) {
	have, p, err := a.agent(ctx, token)
	if err != nil {
		return nil, err
	}
	return a.Service.phoneKeys(ctx, have, p)
}

// phoneKeys are the keys of a phone. Where its policy is left as it is, so are its keys.
func (s *Service) phoneKeys(ctx context.Context, have Have, p AndroidPhone) ([]AgentKey, error) {
	want, err := s.androidWanted(ctx, have, p)
	if errors.Is(err, errKept) {
		return s.agentKeys(ctx, have, p.Sent.Mail)
	}
	return want.keys, err
}

// agentKey is one key of the phone whose app shows that token.
func (a *Androids) agentKey(ctx context.Context, token, alias string) (Have, AgentKey, error) {
	have, p, err := a.agent(ctx, token)
	if err != nil {
		return Have{}, AgentKey{}, err
	}
	keys, err := a.Service.phoneKeys(ctx, have, p)
	if err != nil {
		return Have{}, AgentKey{}, err
	}
	i := slices.IndexFunc(keys, func(k AgentKey) bool { return k.Alias == alias })
	if i < 0 {
		return Have{}, AgentKey{}, refusal.New(ErrNotFound, "alias", "is none that this phone should have", "ask for the list of certificates")
	}
	return have, keys[i], nil
}

// AgentChallenge is a one-time password for one certificate by SCEP.
type AgentChallenge struct {
	URL       string
	Challenge secret.Value
	ExpiresAt time.Time
}

// AgentChallenge mints a challenge for a key that is wanted or to be renewed:
// ErrAgentKey for another one, ErrNotFound for an unknown alias.
func (a *Androids) AgentChallenge(ctx context.Context, token, alias string) (AgentChallenge, error) {
	const action = "android.challenge"
	have, k, err := a.agentKey(ctx, token, alias)
	if err != nil {
		return AgentChallenge{}, err
	}
	s, e, u := a.Service, have.Enrollment, have.User
	switch {
	case u.ID == "":
		err = refusal.New(ErrAgentKey, "alias", "is of a user who was removed", "do nothing")
	case k.State != AgentWanted && k.State != AgentRenew:
		err = refusal.New(ErrAgentKey, "alias", "wants no certificate: its state is "+string(k.State), "ask for the list of certificates")
	}
	if err != nil {
		return AgentChallenge{}, s.refused(ctx, action, string(e.ID), err)
	}
	now := s.now()
	challenge, err := s.Certificates.Mint(ctx, mailGrant(u, e.ID, k.profile), agentChallengeTTL)
	if err != nil {
		return AgentChallenge{}, fmt.Errorf("mint challenge for enrolment %s: %w", e.ID, err)
	}
	// A challenge whose row is not written is one that nobody was given.
	entry := audit.New(ctx, now, action, string(e.ID), audit.Done, "user", string(u.ID), "alias", k.Alias)
	if err := s.Audit.Append(ctx, entry); err != nil {
		return AgentChallenge{}, fmt.Errorf("audit challenge for enrolment %s: %w", e.ID, err)
	}
	return AgentChallenge{URL: s.PublicURL + "/scep", Challenge: challenge, ExpiresAt: now.Add(agentChallengeTTL)}, nil
}

// AgentReport is what a companion app tells of one key.
type AgentReport struct {
	State  string // "installed", "failed" or "removed"
	SHA256 string // with installed: of the certificate's DER, in hex
	Reason string // with failed
}

// AgentTells notes a report. ErrInvalid where it is none, ErrAgentKey where the
// certificate is none that this phone may have for this key.
func (a *Androids) AgentTells(ctx context.Context, token, alias string, r AgentReport) error {
	have, known, err := a.agentKey(ctx, token, alias)
	if err != nil {
		return err
	}
	s, e := a.Service, have.Enrollment
	r.SHA256 = strings.ToLower(r.SHA256)
	if err := r.check(); err != nil {
		return err
	}
	k := AndroidKey{Alias: known.Alias, Profile: known.profile, SHA256: r.SHA256, Failure: r.Reason, At: s.now()}
	action := "android.key." + r.State
	switch r.State {
	case agentRemoved:
		k.Gone, k.Forget = true, known.State == AgentRemove
	case agentInstalled:
		if err := s.tellable(ctx, e, known, r.SHA256); err != nil {
			return s.refused(ctx, action, string(e.ID), err)
		}
	}
	entry := audit.New(ctx, k.At, action, string(e.ID), audit.Done, "user", string(e.UserID), "alias", k.Alias, "sha256", k.SHA256, "reason", k.Failure)
	err = a.Companions.SaveAndroidKey(ctx, e.ID, k, entry)
	if errors.Is(err, ErrConflict) {
		return refusal.New(ErrAgentKey, "sha256", "is no certificate of this phone any more, or the phone is enrolled no more", "ask for the list of certificates")
	}
	if err != nil {
		return fmt.Errorf("note key of enrolment %s: %w", e.ID, err)
	}
	if k.Gone {
		a.Notify()
	}
	return nil
}

// What a companion app may tell.
const (
	agentInstalled = "installed"
	agentFailed    = "failed"
	agentRemoved   = "removed"
)

func (r AgentReport) check() error {
	var list refusal.List
	add := func(field, reason, remedy string) { list.Add(refusal.New(ErrInvalid, field, reason, remedy)) }
	switch r.State {
	case agentInstalled:
		if sum, err := hex.DecodeString(r.SHA256); err != nil || len(sum) != 32 {
			add("sha256", "is no SHA-256 in hex", "64 hex digits: of the certificate's DER")
		}
	case agentFailed:
		if strings.TrimSpace(r.Reason) == "" {
			add("reason", "is missing", "say what failed, in one line")
		}
		list.Add(refusal.Line(ErrInvalid, "reason", r.Reason, maxAgentReason))
	case agentRemoved:
	default:
		add("state", "is none that is told", "installed, failed or removed")
	}
	if r.State != agentInstalled && r.SHA256 != "" {
		add("sha256", "goes with installed alone", "leave it out")
	}
	if r.State != agentFailed && r.Reason != "" {
		add("reason", "goes with failed alone", "leave it out")
	}
	return list.OrNil()
}

// tellable refuses a certificate that this phone cannot have for this key.
func (s *Service) tellable(ctx context.Context, e mdm.Enrollment, k AgentKey, sha256 string) error {
	const remedy = "ask for a challenge, and tell of the certificate that it brings"
	cert, err := s.Certificates.Lookup(ctx, sha256)
	if err != nil && !errors.Is(err, certs.ErrNotFound) {
		return fmt.Errorf("look up certificate: %w", err)
	}
	why := ""
	switch {
	case err != nil || cert.Rule != certs.RuleMailIdentity || cert.EnrollmentID != string(e.ID):
		why = "is no certificate that this phone was given for mail" // whose else it is does not concern the phone
	case cert.Profile != k.profile:
		why = "is the certificate of another alias"
	case !cert.RevokedAt.IsZero():
		why = "was revoked"
	case !s.now().Before(cert.NotAfter):
		why = "has expired"
	default:
		return nil
	}
	return refusal.New(ErrAgentKey, "sha256", why, remedy)
}
