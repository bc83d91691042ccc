package agent

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strconv"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/bounded"
)

const (
	typePKCS12 = "com.apple.security.pkcs12"

	largestPKCS12 = 64 << 10

	// modernPKCS12 is the first iOS that opens files with PBES2, which is how
	// AES comes into them.
	modernPKCS12 = 15
)

// oidPBES2 (RFC 8018, appendix A.4) stands in clear in every file that uses it.
var oidPBES2 = mustOID(1, 2, 840, 113549, 1, 5, 13)

func mustOID(arcs ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic(err) // a constant
	}
	return der
}

// openPKCS12 reads a PKCS#12 payload with the password beside it: nobody is
// there who could type one. The key is kept for the mail that it signs and
// decrypts.
// https://developer.apple.com/documentation/devicemanagement/certificatepkcs12
func (p *Phone) openPKCS12(prof *profile, one payload) (identity, error) {
	r := &reader{d: one.keys}
	der, password := r.data("PayloadContent", true), r.need("Password")
	if err := payloadField(one.Type, r.err); err != nil {
		return identity{}, err
	}
	if bounded.DER(der, largestPKCS12, bounded.MaxDepth) != nil || bounded.Derivations(der) > bounded.MaxDerivations {
		return identity{}, refuse(ErrProfile, domainCertificate, codeCertificateMalformed, "The PKCS#12 file of the profile is too large, or is none.")
	}
	if bytes.Contains(der, oidPBES2) && p.major() < modernPKCS12 {
		return identity{}, refuse(ErrProfile, domainCertificate, codeCertificatePassword, "The PKCS#12 file of the profile uses ciphers that iOS %s does not know.", p.s.Facts.OS)
	}
	key, leaf, _, err := pkcs12.DecodeChain(der, password)
	if err != nil {
		return identity{}, refuse(ErrProfile, domainCertificate, codeCertificatePassword, "The PKCS#12 file of the profile does not open.").because(err)
	}
	id := identity{Profile: prof.Identifier, UUID: one.UUID, Certificate: leaf.Raw, MailKey: mailKeyName(leaf)}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return identity{}, refuse(ErrProfile, domainCertificate, codeCertificateMalformed, "The key of the PKCS#12 file is of no kind that the phone knows.").because(err)
	}
	return id, p.disk.putKey(id.MailKey, private)
}

func mailKeyName(leaf *x509.Certificate) string {
	hash := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return "mail-" + hex.EncodeToString(hash[:12]) + ".pem"
}

// major is the phone's iOS; the newest where it does not say.
func (p *Phone) major() int {
	major, _, _ := strings.Cut(p.s.Facts.OS, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return modernPKCS12
	}
	return n
}

// identifies reports whether the profile brings an identity with that UUID.
func (p *profile) identifies(uuid string) bool {
	for _, kind := range []string{typeSCEP, typePKCS12} {
		for _, one := range p.of(kind) {
			if strings.EqualFold(one.UUID, uuid) {
				return true
			}
		}
	}
	return false
}
