package agent

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// mailIdentity is an identity that came in a PKCS#12 file, with its key.
type mailIdentity struct {
	identity
	certificate *x509.Certificate
	key         crypto.Signer
}

// mailIdentities are all of them: Mail looks for the key of a message among all
// on the phone, whatever profile brought it.
func (p *Phone) mailIdentities() ([]mailIdentity, error) {
	var list []mailIdentity
	for _, id := range p.s.Identities {
		if id.MailKey == "" {
			continue
		}
		cert, err := x509.ParseCertificate(id.Certificate)
		if err != nil {
			return nil, fmt.Errorf("certificate on the phone: %w", err)
		}
		der, err := p.disk.keyDER(id.MailKey)
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", id.MailKey, err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("read key %s: it signs nothing", id.MailKey)
		}
		list = append(list, mailIdentity{id, cert, signer})
	}
	return list, nil
}

// emails reports whether the certificate is for mail (RFC 8550, section 4.4.4).
func emails(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageEmailProtection || u == x509.ExtKeyUsageAny
	})
}

func uses(c *x509.Certificate, usage x509.KeyUsage) bool {
	return c.KeyUsage == 0 || c.KeyUsage&usage != 0
}

// sign makes a detached signature by an identity that may sign mail.
func (m mailIdentity) sign(content []byte) ([]byte, error) {
	if !emails(m.certificate) || !uses(m.certificate, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) {
		return nil, errors.New("the certificate is not made for signing mail")
	}
	return signDetached(content, m.certificate, m.key)
}

// read opens a message that was encrypted to the identity's certificate.
func (m mailIdentity) read(message []byte) ([]byte, error) {
	key, ok := m.key.(*rsa.PrivateKey)
	if !ok || !emails(m.certificate) || !uses(m.certificate, x509.KeyUsageKeyEncipherment) {
		return nil, errors.New("the certificate is not made for encrypting mail")
	}
	return decrypt(message, m.certificate, key)
}

// SignMail signs content as the account with that address does: CMS, DER,
// detached. ErrInvalid when the account has no certificate for it.
func (p *Phone) SignMail(email string, content []byte) ([]byte, error) {
	end, err := p.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	list, err := p.mailIdentities()
	if err != nil {
		return nil, err
	}
	for _, a := range p.s.Accounts {
		if id, ok := a.refers("SMIMESigningCertificateUUID", list); ok && strings.EqualFold(a.Email, email) {
			return id.sign(content)
		}
	}
	return nil, fmt.Errorf("%w: no account of %s signs mail", ErrInvalid, email)
}

// ReadMail opens an encrypted message (CMS EnvelopedData, DER) with whichever
// identity on the phone it was encrypted to.
func (p *Phone) ReadMail(message []byte) ([]byte, error) {
	end, err := p.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	list, err := p.mailIdentities()
	if err != nil {
		return nil, err
	}
	err = errors.New("no identity for mail on the phone")
	for _, id := range list {
		var plain []byte
		if plain, err = id.read(message); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("%w: the message cannot be read: %w", ErrInvalid, err)
}

// refers finds the identity that a key of the account's payload names, among those
// of the same profile.
func (a account) refers(key string, list []mailIdentity) (mailIdentity, bool) {
	uuid, _ := a.Settings[key].(string)
	i := slices.IndexFunc(list, func(m mailIdentity) bool {
		return uuid != "" && m.Profile == a.Profile && strings.EqualFold(m.UUID, uuid)
	})
	if i < 0 {
		return mailIdentity{}, false
	}
	return list[i], true
}

// showMail says, by trying, what each account can do with S/MIME.
func (p *Phone) showMail(shot *Snapshot) error {
	list, err := p.mailIdentities()
	if err != nil || len(list) == 0 {
		return err
	}
	var readable []string
	for _, id := range list {
		if id.reads() {
			readable = append(readable, id.fingerprint())
		}
	}
	for i, a := range p.s.Accounts {
		shown := &shot.Accounts[i]
		if id, ok := a.refers("SMIMESigningCertificateUUID", list); ok {
			if _, err := id.sign([]byte("test")); err == nil {
				shown.Signs = id.fingerprint()
			}
		}
		if id, ok := a.refers("SMIMEEncryptionCertificateUUID", list); ok && id.reads() {
			shown.Decrypts = append([]string{id.fingerprint()}, slices.DeleteFunc(slices.Clone(readable), func(f string) bool { return f == id.fingerprint() })...)
		}
	}
	return nil
}

func (m mailIdentity) reads() bool {
	message, err := encrypt([]byte("test"), m.certificate)
	if err != nil {
		return false
	}
	_, err = m.read(message)
	return err == nil
}

func (m mailIdentity) fingerprint() string { return fingerprintOf(m.Certificate) }
