package certs

import (
	"bytes"
	"encoding/asn1"
)

// FileForm is what a file that somebody gives for a key or a chain looks like, by
// its beginning: whether it is sound is for who reads it.
type FileForm string

const (
	FormPEM         FileForm = "PEM"
	FormPKCS12      FileForm = "PKCS#12"
	FormPKCS7       FileForm = "PKCS#7"      // .p7b, .p7c: certificates without a key
	FormCertificate FileForm = "certificate" // one, in DER
	FormOther       FileForm = ""
)

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// FormOf looks at the first element of the outermost sequence: PKCS#12 begins with
// its version (RFC 7292), PKCS#7 with the type of its content (RFC 2315), and a
// certificate with the sequence that is signed (RFC 5280).
func FormOf(data []byte) FileForm {
	form := formOfDER(data)
	if form == FormOther && bytes.Contains(data, []byte("-----BEGIN ")) {
		return FormPEM
	}
	return form
}

func formOfDER(data []byte) FileForm {
	var outer, first asn1.RawValue
	if _, err := asn1.Unmarshal(data, &outer); err != nil || outer.Class != asn1.ClassUniversal || outer.Tag != asn1.TagSequence {
		return FormOther
	}
	if _, err := asn1.Unmarshal(outer.Bytes, &first); err != nil || first.Class != asn1.ClassUniversal {
		return FormOther
	}
	switch first.Tag {
	case asn1.TagInteger:
		return FormPKCS12
	case asn1.TagSequence:
		return FormCertificate
	case asn1.TagOID:
		var oid asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(first.FullBytes, &oid); err == nil && oid.Equal(oidSignedData) {
			return FormPKCS7
		}
	}
	return FormOther
}

// unlike says of what is no PKCS#12 file what it is instead, and what to do about
// it; nothing where that is not clear.
func unlike(data []byte) (reason, remedy string) {
	switch FormOf(data) {
	case FormPEM:
		return "is PEM, not PKCS#12", "make one of key and certificate: openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out FILE"
	case FormPKCS7:
		return "is PKCS#7, which holds certificates and no private key", exportAgain
	case FormCertificate:
		return "is a certificate without its private key", exportAgain
	case FormPKCS12, FormOther:
	}
	return "", ""
}
