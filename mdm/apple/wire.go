package apple

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// Bounds of what a phone may say. Apple's values are far below them.
const (
	maxIdentifier = 1024 // identifiers, topics, UUIDs: more is refused
	maxText       = 256  // names for people: more is cut off
	maxToken      = 1024
	maxUnlock     = 64 << 10
	maxItems      = 2000 // profiles, certificates, apps, restrictions, errors
)

// message is a check-in message or a command's result on the wire. Numbers are
// 64 bits wide everywhere, since the decoder silently cuts off what does not fit.
type message struct {
	// Who speaks, and which of the two protocols.
	MessageType  string `plist:"MessageType"`
	Status       string `plist:"Status"`
	Topic        string `plist:"Topic"`
	UDID         string `plist:"UDID"`
	EnrollmentID string `plist:"EnrollmentID"`
	UserID       string `plist:"UserID"`

	// The rest of Authenticate and TokenUpdate.
	OSVersion    string `plist:"OSVersion"`
	BuildVersion string `plist:"BuildVersion"`
	ProductName  string `plist:"ProductName"`
	SerialNumber string `plist:"SerialNumber"`
	DeviceName   string `plist:"DeviceName"`
	Model        string `plist:"Model"`
	Token        []byte `plist:"Token"`
	PushMagic    string `plist:"PushMagic"`
	UnlockToken  []byte `plist:"UnlockToken"`
	Awaiting     bool   `plist:"AwaitingConfiguration"`

	// The rest of an answer to a command.
	CommandUUID     string                 `plist:"CommandUUID"`
	ErrorChain      []errorItem            `plist:"ErrorChain"`
	QueryResponses  *queryResponses        `plist:"QueryResponses"`
	SecurityInfo    *securityInfo          `plist:"SecurityInfo"`
	ProfileList     []profileItem          `plist:"ProfileList"`
	CertificateList []certificateItem      `plist:"CertificateList"`
	Installed       []installedItem        `plist:"InstalledApplicationList"`
	Managed         map[string]managedItem `plist:"ManagedApplicationList"`
	Restrictions    *globalRestrictions    `plist:"GlobalRestrictions"`
	Settings        settingsResult         `plist:"Settings"`

	body []byte // all of it, as it came
}

type errorItem struct {
	ErrorCode            int64  `plist:"ErrorCode"`
	ErrorDomain          string `plist:"ErrorDomain"`
	LocalizedDescription string `plist:"LocalizedDescription"`
	USEnglishDescription string `plist:"USEnglishDescription"`
}

// kind tells the two families of messages apart.
type kind int

const (
	kindCheckin kind = iota + 1
	kindResult
)

// decode reads one message within the house's bounds.
func decode(body []byte) (message, kind, error) {
	var m message
	if err := bounded.DecodePlist(body, bounded.MaxPlist, bounded.MaxDepth, &m); err != nil {
		return message{}, 0, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	k, err := m.check()
	if err != nil {
		return message{}, 0, err
	}
	m.UDID = strings.ToUpper(m.UDID)
	m.body = body
	return m, k, nil
}

// check refuses what no device enrolled by profile says.
func (m message) check() (kind, error) {
	var k kind
	switch {
	case m.MessageType != "" && m.Status == "":
		k = kindCheckin
	case m.Status != "" && m.MessageType == "":
		k = kindResult
	default:
		return 0, malformed("", "neither a check-in message nor a command's result")
	}
	if m.UserID != "" {
		return 0, malformed("UserID", "messages of the user channel are not supported")
	}
	if m.UDID == "" && m.EnrollmentID != "" {
		return 0, malformed("EnrollmentID", "account-driven enrolment is not supported")
	}
	if !udids.MatchString(m.UDID) {
		return 0, malformed("UDID", "is missing or not the identifier of a device")
	}
	return k, nil
}

// udids are Apple's forms: 40 hex digits, 8-16 hex digits, and UUIDs. Spaces,
// colons and look-alikes are refused, not mended: one phone is one device.
var udids = regexp.MustCompile(`^(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$`)

func malformed(field, reason string) error {
	return refusal.New(ErrMalformed, field, reason, "")
}

// identifier refuses a value that is too long to be what it claims.
func identifier(field, value string) error {
	if len(value) > maxIdentifier {
		return malformed(field, fmt.Sprintf("is longer than %d bytes", maxIdentifier))
	}
	return nil
}

// text cuts off a name that was made for people: a long one is no reason to
// refuse a phone.
func text(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

func (m message) authenticate() (Authenticate, error) {
	if m.Topic == "" {
		return Authenticate{}, malformed("Topic", "is missing")
	}
	for field, value := range map[string]string{"Topic": m.Topic, "SerialNumber": m.SerialNumber, "OSVersion": m.OSVersion} {
		if err := identifier(field, value); err != nil {
			return Authenticate{}, err
		}
	}
	return Authenticate{
		Topic:        m.Topic,
		UDID:         m.UDID,
		OSVersion:    text(m.OSVersion),
		BuildVersion: text(m.BuildVersion),
		ProductName:  text(m.ProductName),
		SerialNumber: text(m.SerialNumber),
		DeviceName:   text(m.DeviceName),
		Model:        text(m.Model),
	}, nil
}

func (m message) tokenUpdate() (TokenUpdate, error) {
	if len(m.Token) == 0 || len(m.Token) > maxToken {
		return TokenUpdate{}, malformed("Token", "is missing or too long")
	}
	if m.PushMagic == "" || len(m.PushMagic) > maxIdentifier {
		return TokenUpdate{}, malformed("PushMagic", "is missing or too long")
	}
	if len(m.UnlockToken) > maxUnlock {
		return TokenUpdate{}, malformed("UnlockToken", "is too long")
	}
	return TokenUpdate{
		Topic: m.Topic, UDID: m.UDID, Token: m.Token, PushMagic: m.PushMagic, UnlockToken: m.UnlockToken,
		AwaitingConfiguration: m.Awaiting,
	}, nil
}
