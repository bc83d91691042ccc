package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles/mobileconfig"
)

// pageChallengeTTL covers a download and the 8 minutes that a phone keeps a
// downloaded profile waiting.
const pageChallengeTTL = 15 * time.Minute

// EnrollmentProfile hands out the signed enrolment profile of an open
// invitation, with a fresh challenge that is bound to it. The invitation stays
// open until a certificate is issued, so that a download may be repeated.
//
// Wrong PINs are not counted here: the server limits attempts per address and
// per code, and answers before this is asked.
func (s *Service) EnrollmentProfile(ctx context.Context, code, pin string) ([]byte, error) {
	const action = "enrollment.profile"
	i, u, err := s.openInvitation(ctx, code)
	if err != nil {
		return nil, s.refused(ctx, action, string(i.ID), err)
	}
	if !s.pinMatches(i, pin) {
		err := refusal.New(ErrInvalid, "pin", "is not the PIN of this invitation", "it has 6 digits, and came to you another way than the link")
		return nil, s.refused(ctx, action, string(i.ID), err)
	}
	challenge, err := s.Certificates.Mint(ctx, certs.Grant{
		Rule:         certs.RuleMDMIdentity,
		CommonName:   u.UPN,
		UPN:          u.UPN,
		Mail:         u.Email,
		UserID:       string(u.ID),
		InvitationID: string(i.ID),
	}, pageChallengeTTL)
	if err != nil {
		return nil, fmt.Errorf("mint challenge for invitation %s: %w", i.ID, err)
	}
	topic, _ := s.Topic()
	plain, err := s.enrollmentProfile(u, topic, AccessRights(i.Ownership), challenge).Encode()
	if err != nil {
		return nil, fmt.Errorf("encode enrolment profile: %w", err)
	}
	signed, err := cms.Sign(plain, s.Signer())
	if err != nil {
		return nil, fmt.Errorf("sign enrolment profile: %w", err)
	}
	entry := audit.New(ctx, s.now(), action, string(i.ID), audit.Done, "user", string(u.ID))
	if err := s.Audit.Append(ctx, entry); err != nil {
		return nil, fmt.Errorf("audit enrolment profile: %w", err)
	}
	return signed, nil
}

// enrollmentProfile is {roots, SCEP, MDM}. Identifiers and payload UUIDs follow
// from the server's address alone, which never changes: a phone that enrols
// again replaces what it has, whoever it is enrolled for.
func (s *Service) enrollmentProfile(u directory.User, topic string, rights int, challenge secret.Value) mobileconfig.Profile {
	base := s.enrollmentIdentifier()
	common := func(slot, name, description string) mobileconfig.Common {
		return mobileconfig.Common{
			Identifier:   base + "." + slot,
			UUID:         mobileconfig.UUID(s.PublicURL, "enrollment", slot),
			DisplayName:  name,
			Description:  description,
			Organization: s.Organization,
		}
	}
	identity := mobileconfig.SCEP{
		Common:          common("identity", "Device identity", "Proves to the server which phone it is talking to"),
		URL:             s.PublicURL + "/scep",
		CommonName:      u.UPN,
		Mail:            u.Email,
		NTPrincipalName: u.UPN,
		Challenge:       challenge,
	}
	var payloads []mobileconfig.Payload
	for _, root := range s.anchors() {
		payloads = append(payloads, mobileconfig.Certificate{
			Common:   common(s.rootSlot(root), "Root certificate", "Lets this phone trust the server"),
			FileName: "root.cer",
			DER:      root.Raw,
			Root:     true,
		})
	}
	return mobileconfig.Profile{
		Identifier:   base,
		DisplayName:  "Mail access and device management",
		Description:  "Lets " + s.organization() + " set up your mail account and check that this phone is fit for it.",
		Organization: s.Organization,
		Payloads: append(payloads, identity, mobileconfig.MDM{
			Common:       common("mdm", "Device management", "Installs the mail account and asks whether the phone is fit for it"),
			IdentityUUID: identity.UUID,
			Topic:        topic,
			ServerURL:    s.PublicURL + "/mdm",
			AccessRights: rights,
		}),
	}
}

func (s *Service) anchors() []*x509.Certificate {
	if s.Anchors == nil {
		return []*x509.Certificate{s.Root}
	}
	return s.Anchors()
}

// rootSlot names the payload of a root: the first one that there ever was has one
// name for ever, and each later one its own, so that none takes another's place.
func (s *Service) rootSlot(root *x509.Certificate) string {
	if root.Equal(s.Root) {
		return "root"
	}
	sum := sha256.Sum256(root.Raw)
	return "root." + hex.EncodeToString(sum[:])
}

// enrollmentIdentifier names the management profile: removing it ends management.
func (s *Service) enrollmentIdentifier() string {
	return reverseHost(s.PublicURL) + ".sallyport.enrollment"
}

func (s *Service) organization() string {
	if s.Organization == "" {
		return "your organisation"
	}
	return s.Organization
}

// reverseHost turns "https://mdm.example.com:8443" into "com.example.mdm".
func reverseHost(publicURL string) string {
	host := publicURL
	if u, err := url.Parse(publicURL); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	labels := strings.Split(strings.ToLower(host), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}
