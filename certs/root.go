package certs

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// RootFile is a root with its key, as it is kept offline.
type RootFile struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

const (
	// rootIterations of PBKDF2 with SHA-256, three times in a file: as many as
	// OWASP asks for a password, for a key that signs once in years.
	rootIterations = 600_000

	minPassphrase = 12
	maxPassphrase = 1024
)

// EncodeRoot writes the file that keeps a root: PKCS#12 (RFC 7292) with AES-256
// and PBKDF2, which OpenSSL 1.1.1 and newer open.
func EncodeRoot(root RootFile, passphrase secret.Value) ([]byte, error) {
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	data, err := pkcs12.Modern2023.WithIterations(rootIterations).Encode(root.Key, root.Certificate, nil, passphrase.Reveal())
	if err != nil {
		return nil, fmt.Errorf("write root file: %w", err)
	}
	return data, nil
}

// DecodeRoot reads such a file, or one that another program wrote.
func DecodeRoot(data []byte, passphrase secret.Value) (RootFile, error) {
	if passphrase.IsZero() {
		return RootFile{}, refusal.New(ErrAuthorityInvalid, "passphrase", "is missing", "give the one that the root was written with")
	}
	file, refused := OpenPKCS12(data, passphrase, PKCS12Fields{Err: ErrAuthorityInvalid, File: "root", Password: "passphrase"})
	if refused != nil {
		return RootFile{}, refused
	}
	return RootFile{Certificate: file.Certificate, Key: file.Key}, nil
}

// CheckPassphrase refuses one that EncodeRoot would not take (ErrAuthorityInvalid).
// The file may lie about for years, so that it is guessed at leisure. PKCS#12
// knows no characters beyond the first 65,536 of Unicode.
func CheckPassphrase(p secret.Value) error {
	const remedy = "choose four random words, or more"
	text := p.Reveal()
	switch {
	case utf8.RuneCountInString(text) < minPassphrase:
		return refusal.New(ErrAuthorityInvalid, "passphrase", fmt.Sprintf("has fewer than %d characters", minPassphrase), remedy)
	case refusal.Line(ErrAuthorityInvalid, "passphrase", text, maxPassphrase) != nil:
		return refusal.New(ErrAuthorityInvalid, "passphrase", "is not one line of text", remedy)
	}
	for _, r := range text {
		if r > 0xffff {
			return refusal.New(ErrAuthorityInvalid, "passphrase", fmt.Sprintf("holds %U, which such a file cannot have", r), remedy)
		}
	}
	return nil
}

// check refuses a root that cannot sign an issuing CA at now.
func (r RootFile) check(now time.Time) error {
	refuse := func(reason, remedy string) error {
		return refusal.New(ErrAuthorityInvalid, "root", reason, remedy)
	}
	const remedy = "give the file that `sallyport ca init --root-out` wrote"
	switch c := r.Certificate; {
	case c == nil || r.Key == nil:
		return refuse("is missing", remedy)
	case !samePublicKey(r.Key.Public(), c.PublicKey):
		return refuse("has a key that is not that of its certificate", remedy)
	case !c.BasicConstraintsValid || !c.IsCA:
		return refuse("is not a CA", remedy)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return refuse("may not sign certificates: its usage lacks keyCertSign", remedy)
	case c.MaxPathLen == 0 && c.MaxPathLenZero:
		return refuse("allows no CA under it: its path length is 0", remedy)
	case now.After(c.NotAfter):
		return refuse("expired on "+c.NotAfter.UTC().Format(time.DateOnly), "make a new root: sallyport ca init --root-out")
	case now.Before(c.NotBefore):
		return refuse("is not valid before "+c.NotBefore.UTC().Format(time.DateOnly), "set this machine's clock")
	}
	return nil
}
