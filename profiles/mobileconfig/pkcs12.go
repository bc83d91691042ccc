package mobileconfig

import (
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const pkcs12Type = "com.apple.security.pkcs12"

// MaxPKCS12 bounds a .p12 file: a key and its chain need a tenth of it, and
// phones are sent several in one profile.
const MaxPKCS12 = 64 << 10

// PKCS12 installs an identity, key and certificate, from a .p12 file. Accounts
// of the same profile refer to it by its UUID.
// https://developer.apple.com/documentation/devicemanagement/certificatepkcs12
type PKCS12 struct {
	Common
	FileName string
	Content  secret.Value // the file, DER
	Password secret.Value // opens the file; by MDM the phone cannot ask for it
	Revision string       // of both; stands for them in TopUUID
}

// NewPKCS12 installs a .p12 file. revision is that of the stored secret.
func NewPKCS12(c Common, fileName string, der []byte, password secret.Value, revision string) PKCS12 {
	return PKCS12{Common: c, FileName: fileName, Content: secret.New(string(der)), Password: password, Revision: revision}
}

// Type implements Payload.
func (PKCS12) Type() string { return pkcs12Type }

func (PKCS12) secret() bool { return true }

func (p PKCS12) fill(dict map[string]any, m mode) {
	text(dict, "PayloadCertificateFileName", p.FileName)
	hidden(dict, "Password", p.Password, p.Revision, m)
	dict["PayloadContent"] = blank([]byte(p.Content.Reveal()), p.Revision, m)
}

func (p PKCS12) check() refusal.List {
	path := p.Type() + "."
	list := texts(path, map[string]string{"PayloadCertificateFileName": p.FileName, "Password": p.Password.Reveal()})
	list.Add(required(path+"Password", p.Password.Reveal()), revision(path+"PayloadContent", p.Content, p.Revision))
	if err := bounded.DER([]byte(p.Content.Reveal()), MaxPKCS12, bounded.MaxDepth); err != nil {
		list.Add(refusal.New(ErrInvalid, path+"PayloadContent", "is not a .p12 file of at most 64 KB", "export key and certificate as PKCS#12"))
	}
	return list
}

func (PKCS12) references() map[string]string { return nil }
