package templates

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

const (
	maxPKCS12 = 64 << 10 // bytes; a key and its chain need a tenth of it

	maxSubject = 1024 // bytes of a Subject that is worth showing
)

// open checks a PKCS#12 file with its password, and fills what its certificate
// says of its holder. Refusals tell nothing of key or password.
func (s *Secret) open(now time.Time) *refusal.Error {
	if len(s.Data) == 0 {
		return refusal.New(ErrInvalid, "data", "is missing", "give the PKCS#12 file (.p12 or .pfx)")
	}
	if s.Value.IsZero() {
		return refusal.New(ErrInvalid, "value", "is missing", "give the password of the PKCS#12 file: a phone that is managed cannot ask for it")
	}
	if refused := password(s.Value.Reveal()); refused != nil {
		return refused
	}
	leaf, refused := openPKCS12(s.Data, s.Value.Reveal())
	if refused != nil {
		return refused
	}
	if !now.Before(leaf.NotAfter) {
		return refusal.New(ErrInvalid, "data", "holds a certificate that expired on "+leaf.NotAfter.UTC().Format(time.DateOnly), "upload a valid one")
	}
	s.NotAfter = leaf.NotAfter.UTC()
	if s.Subject = subjectText(leaf.Subject); refusal.Line(ErrInvalid, "", s.Subject, maxSubject) != nil {
		s.Subject = ""
	}
	s.UPNs = dedupe(slices.Concat(principalNames(leaf), subjectNames(leaf, oidCommonName)))
	s.Mails = dedupe(slices.Concat(slices.DeleteFunc(slices.Clone(leaf.EmailAddresses), unreadable), subjectNames(leaf, oidEmailAddress)))
	return nil
}

// subjectNaming are the attributes of a Subject that people put names in and
// that the library shows as numbers (RFC 2985, section 5.2.1; RFC 4519, section 2.39).
var subjectNaming = map[string]string{
	oidEmailAddress.String():     "emailAddress",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
}

// subjectText is a Subject as people read it.
func subjectText(subject pkix.Name) string {
	text := subject.String()
	for _, a := range subject.Names {
		value, ok := a.Value.(string)
		label := subjectNaming[a.Type.String()]
		if !ok || label == "" {
			continue
		}
		if der, err := asn1.Marshal(a.Value); err == nil {
			text = strings.ReplaceAll(text, fmt.Sprintf("%s=#%x", a.Type, der), label+"="+value)
		}
	}
	return text
}

// openPKCS12 returns the certificate that belongs to the private key.
func openPKCS12(data []byte, password string) (*x509.Certificate, *refusal.Error) {
	refuse := func(reason, remedy string) (*x509.Certificate, *refusal.Error) {
		return nil, refusal.New(ErrInvalid, "data", reason, remedy)
	}
	const again = "export it anew, with its private key, as PKCS#12"
	if err := bounded.DER(data, maxPKCS12, bounded.MaxDepth); err != nil {
		return refuse(fmt.Sprintf("is not a PKCS#12 file in DER of at most %d KB", maxPKCS12>>10), again)
	}
	if bounded.Derivations(data) > bounded.MaxDerivations {
		return refuse("asks for more key derivation than any program writes", again)
	}
	key, leaf, err := decodePKCS12(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, refusal.New(ErrInvalid, "value", "is not the password of this PKCS#12 file", "give the one that it was exported with")
	case err != nil:
		return refuse("is not a PKCS#12 file with one private key and its certificate", again)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return refuse("holds a private key of a kind that phones do not use", "use RSA or an elliptic curve")
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(signer.Public()) {
		return refuse("holds a certificate that does not belong to its private key", again)
	}
	return leaf, nil
}

// decodePKCS12 turns a panic of the library, which reads bytes from outside,
// into an error.
func decodePKCS12(data []byte, password string) (key any, leaf *x509.Certificate, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode PKCS#12: panic: %v", r)
		}
	}()
	key, leaf, _, err = pkcs12.DecodeChain(data, password)
	return key, leaf, err
}

// oidUPN is Microsoft's User Principal Name, an otherName (MS-WCCE 2.2.2.7.5).
var (
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEmailAddress   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidCommonName     = asn1.ObjectIdentifier{2, 5, 4, 3}
)

// principalNames returns the UPNs of a certificate's SubjectAltName, which
// crypto/x509 does not read (RFC 5280, section 4.2.1.6).
func principalNames(cert *x509.Certificate) []string {
	var names []string
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		var sequence asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &sequence); err != nil {
			continue
		}
		for rest := sequence.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			after, err := asn1.Unmarshal(rest, &name)
			if err != nil {
				break
			}
			rest = after
			if upn, ok := principalName(name); ok {
				names = append(names, upn)
			}
		}
	}
	return names
}

func principalName(name asn1.RawValue) (string, bool) {
	if name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
		return "", false
	}
	var other struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue // [0] EXPLICIT
	}
	var text asn1.RawValue // UTF8String
	if _, err := asn1.UnmarshalWithParams(name.FullBytes, &other, "tag:0"); err != nil || !other.ID.Equal(oidUPN) {
		return "", false
	}
	if _, err := asn1.Unmarshal(other.Value.Bytes, &text); err != nil {
		return "", false
	}
	upn := string(text.Bytes)
	return upn, !unreadable(upn)
}

// subjectNames returns those values of an attribute of the Subject that look
// like an address: older authorities put mail addresses and UPNs there.
func subjectNames(cert *x509.Certificate, attribute asn1.ObjectIdentifier) []string {
	var names []string
	for _, a := range cert.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(attribute) && strings.Contains(text, "@") && !unreadable(text) {
			names = append(names, text)
		}
	}
	return names
}

// unreadable: a name out of a foreign file is shown in refusals and lists.
func unreadable(name string) bool { return refusal.Line(ErrInvalid, "", name, maxText) != nil }
