package templates

import (
	"time"

	"sallyport/certs"
	"sallyport/internal/refusal"
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
	file, refused := certs.OpenPKCS12(s.Data, s.Value, certs.PKCS12Fields{Err: ErrInvalid, File: "data", Password: "value"})
	if refused != nil {
		return refused
	}
	leaf := file.Certificate
	if !now.Before(leaf.NotAfter) {
		return refusal.New(ErrInvalid, "data", "holds a certificate that expired on "+leaf.NotAfter.UTC().Format(time.DateOnly), "upload a valid one")
	}
	s.NotAfter = leaf.NotAfter.UTC()
	holder := certs.HolderOf(leaf)
	s.Subject, s.UPNs, s.Mails = holder.Subject, holder.UPNs, holder.Mails
	return nil
}
