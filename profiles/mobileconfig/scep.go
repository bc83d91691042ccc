package mobileconfig

import (
	"cmp"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// Defaults of a SCEP payload. Key usage 5 is signing and encryption: the phone
// signs check-ins with the key, and profiles are encrypted to it.
const (
	scepKeySize    = 2048
	scepKeyUsage   = 1 | 4
	scepRetries    = 3
	scepRetryDelay = 10
)

// SCEP makes the phone create an RSA key and have it certified by our CA.
// https://developer.apple.com/documentation/devicemanagement/scep
type SCEP struct {
	Common
	URL        string
	Name       string // tells the CA which of its certificates is meant; optional
	CommonName string // of the Subject. The CA takes only the key from the request, never the name
	// Mail and NTPrincipalName go into the SubjectAltName; empty ones are left out.
	Mail            string
	NTPrincipalName string
	// Challenge is the one-time password; empty while it is not minted.
	Challenge secret.Value
	KeySize   int // 0: 2048
	// CAFingerprint of the CA certificate, optional: the profile's signature
	// and TLS already vouch for the URL.
	CAFingerprint []byte
}

// Type implements Payload.
func (SCEP) Type() string { return "com.apple.security.scep" }

// WithChallenge returns the payload with the one-time password in it.
func (s SCEP) WithChallenge(challenge secret.Value) SCEP {
	s.Challenge = challenge
	return s
}

func (s SCEP) fill(dict map[string]any, m mode) {
	content := map[string]any{
		"URL":              s.URL,
		"Keysize":          cmp.Or(s.KeySize, scepKeySize),
		"Key Type":         "RSA", // with the space: Apple's sample profile has it wrong
		"Key Usage":        scepKeyUsage,
		"Retries":          scepRetries,
		"RetryDelay":       scepRetryDelay,
		"KeyIsExtractable": false,
	}
	text(content, "Name", s.Name)
	if s.CommonName != "" {
		content["Subject"] = []any{[]any{[]any{"CN", s.CommonName}}}
	}
	names := map[string]any{}
	text(names, "rfc822Name", s.Mail)
	text(names, "ntPrincipalName", s.NTPrincipalName)
	if len(names) > 0 {
		content["SubjectAltName"] = names
	}
	if m != canonical { // a challenge is used once: it tells nothing of the revision
		hidden(content, "Challenge", s.Challenge, "", m)
	}
	if len(s.CAFingerprint) > 0 {
		content["CAFingerprint"] = s.CAFingerprint
	}
	dict["PayloadContent"] = content
}

func (s SCEP) check() refusal.List {
	var list refusal.List
	list.Add(required(s.Type()+".URL", s.URL))
	list.Add(texts(s.Type()+".", map[string]string{
		"URL": s.URL, "Name": s.Name, "Subject": s.CommonName, "SubjectAltName.rfc822Name": s.Mail,
		"SubjectAltName.ntPrincipalName": s.NTPrincipalName, "Challenge": s.Challenge.Reveal(),
	})...)
	if s.URL != "" && !strings.HasPrefix(s.URL, "https://") && !strings.HasPrefix(s.URL, "http://") {
		list.Add(refusal.New(ErrInvalid, s.Type()+".URL", "is not a URL", "for example https://mdm.example.test/scep"))
	}
	switch s.KeySize {
	case 0, 2048, 4096:
	default: // the schema also knows 1024, which nobody should certify
		list.Add(refusal.New(ErrInvalid, s.Type()+".Keysize", "is not 2048 or 4096", "leave it away"))
	}
	return list
}

func (SCEP) references() map[string]string { return nil }
