package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/cms"
	"sallyport/profiles/mobileconfig"
)

type profileVerifyCmd struct {
	File string `arg:"" help:"The .mobileconfig, - for standard input. Name the roots that the phone trusts with --ca FILE."`
	Output
}

// verification is what becomes of a profile's signature on a phone.
type verification struct {
	Shown      string    `json:"shown"` // as the phone words it: Verified, Not Verified, Not Signed; or refused
	Why        string    `json:"why"`
	Remedy     string    `json:"remedy,omitempty"`
	Name       string    `json:"name,omitempty"`
	Identifier string    `json:"identifier,omitempty"`
	Signer     string    `json:"signer,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	NotBefore  time.Time `json:"not_before,omitzero"`
	NotAfter   time.Time `json:"not_after,omitzero"`
}

const (
	shownVerified    = "Verified"
	shownNotVerified = "Not Verified"
	shownNotSigned   = "Not Signed"
	shownRefused     = "refused"
)

func (c *profileVerifyCmd) Run(p *program) error {
	if p.RootCA == "" {
		return usageError{"name the root certificates that the phone trusts: --ca FILE (of our server: sallyport ca export)"}
	}
	data, err := p.readFile(c.File, mobileconfig.MaxProfile)
	if err != nil {
		return err
	}
	roots, err := rootCertificates(p.RootCA)
	if err != nil {
		return err
	}
	v := verify(data, roots, p.now())
	if c.json() {
		err = printJSON(p.stdout, v)
	} else {
		err = facts(p.stdout,
			fact{"Shown on the phone", v.Shown}, fact{"Because", v.Why}, fact{"Do", v.Remedy},
			fact{"Profile", v.Name}, fact{"Identifier", v.Identifier},
			fact{"Signed by", v.Signer}, fact{"Issued by", v.Issuer},
			fact{"Valid from", stamp(v.NotBefore)}, fact{"Valid until", stamp(v.NotAfter)})
	}
	if err != nil {
		return err
	}
	if v.Shown != shownVerified {
		return errQuiet
	}
	return nil
}

// verify looks at a profile as a phone does that trusts roots and nothing else.
func verify(data []byte, roots []*x509.Certificate, now time.Time) verification {
	if profile, err := mobileconfig.Decode(data); err == nil {
		v := verification{Shown: shownNotSigned, Why: "the file is a plain property list without a signature", Remedy: "sign it: sallyport profile build --sign-cert FILE --sign-key FILE"}
		v.describe(profile)
		return v
	}
	content, signer, err := cms.Open(data, mobileconfig.MaxProfile)
	if err != nil {
		return unopened(err)
	}
	v := verification{
		Signer: signer.Subject.String(), Issuer: signer.Issuer.String(),
		NotBefore: signer.NotBefore.UTC(), NotAfter: signer.NotAfter.UTC(),
	}
	profile, err := mobileconfig.Decode(content)
	if err != nil {
		v.Shown, v.Why, v.Remedy = shownRefused, "what is signed is not a configuration profile: "+err.Error(), "sign the property list itself"
		return v
	}
	v.describe(profile)
	v.trust(data, roots, now)
	return v
}

func unopened(err error) verification {
	if errors.Is(err, cms.ErrSignature) {
		return verification{Shown: shownRefused, Why: "the signature does not fit the content: the file was changed after it was signed", Remedy: "get the file anew from its source"}
	}
	return verification{Shown: shownRefused, Why: "the file is neither a property list nor a signed one: " + err.Error(), Remedy: "a signed profile is DER, not PEM or base64"}
}

func (v *verification) describe(profile map[string]any) {
	v.Name, _ = profile["PayloadDisplayName"].(string)
	v.Identifier, _ = profile["PayloadIdentifier"].(string)
}

// trust decides between Verified and Not Verified.
func (v *verification) trust(data []byte, roots []*x509.Certificate, now time.Time) {
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	_, _, err := cms.Verify(data, cms.Trust{Roots: pool, Now: now, MaxBytes: mobileconfig.MaxProfile})
	v.Shown = shownNotVerified
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		v.Shown, v.Why = shownVerified, "the signature fits, and its certificate leads to a root in the file that --ca names"
	case now.After(v.NotAfter):
		v.Why = "the signer's certificate has expired; a profile that is installed stays, a new installation counts as not verified"
		v.Remedy = "sign it anew with a certificate that is valid"
	case now.Before(v.NotBefore):
		v.Why, v.Remedy = "the signer's certificate is not valid yet", "look at the clock of the machine that made it"
	case errors.As(err, &unknown):
		v.Why = "no chain leads from the signer's certificate to those roots: the root is another one, or an intermediate certificate is missing in the signature"
		v.Remedy = "sign with the intermediates in --sign-cert FILE, signer first; or name the right root"
	default:
		v.Why, v.Remedy = err.Error(), "sign it with a certificate that the phone trusts"
	}
}

// rootCertificates are those of a file that a phone can trust by themselves. A
// signer or an intermediate among them proves nothing: it is in the signature
// already.
func rootCertificates(file string) ([]*x509.Certificate, error) {
	found, err := certificates(file)
	if err != nil {
		return nil, err
	}
	roots := slices.DeleteFunc(slices.Clone(found), func(c *x509.Certificate) bool { return !bytes.Equal(c.RawSubject, c.RawIssuer) })
	if len(roots) == 0 {
		last := found[len(found)-1]
		return nil, fmt.Errorf("%s holds no root certificate: %s was issued by %s, which phones must trust", file, last.Subject, last.Issuer)
	}
	return roots, nil
}

// certificates reads every certificate of a PEM file, in its order.
func certificates(file string) ([]*x509.Certificate, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d cannot be read: %w", file, len(found)+1, err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		if certificate, err := x509.ParseCertificate(bytes.TrimSpace(text)); err == nil {
			return []*x509.Certificate{certificate}, nil
		}
		return nil, fmt.Errorf("%s %w", file, errNoCertificate)
	}
	return found, nil
}
