package agent

import (
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	typePKCS12 = "com.apple.security.pkcs12"

	largestPKCS12 = 64 << 10
)

// openPKCS12 reads a PKCS#12 payload with the password beside it: nobody is
// there who could type one. Of its private key the phone keeps nothing, since
// it signs in and signs mail nowhere.
// https://developer.apple.com/documentation/devicemanagement/certificatepkcs12
func openPKCS12(p *profile, one payload) (identity, error) {
	r := &reader{d: one.keys}
	der, password := r.data("PayloadContent", true), r.need("Password")
	if err := payloadField(one.Type, r.err); err != nil {
		return identity{}, err
	}
	if len(der) > largestPKCS12 {
		return identity{}, refuse(ErrProfile, domainCertificate, codeCertificateMalformed, "The PKCS#12 file of the profile is too large.")
	}
	_, leaf, _, err := pkcs12.DecodeChain(der, password)
	if err != nil {
		return identity{}, refuse(ErrProfile, domainCertificate, codeCertificatePassword, "The PKCS#12 file of the profile does not open.").because(err)
	}
	return identity{Profile: p.Identifier, UUID: one.UUID, Certificate: leaf.Raw}, nil
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
