package certs

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

// element is one of this tag with these contents.
func element(t testing.TB, tag int, contents ...[]byte) []byte {
	t.Helper()
	out, err := asn1.Marshal(asn1.RawValue{Tag: tag, IsCompound: tag == asn1.TagSequence, Bytes: slices.Concat(contents...)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func forms(t testing.TB) map[string]FileForm {
	t.Helper()
	oid := func(id asn1.ObjectIdentifier) []byte {
		out, err := asn1.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	sequence := func(contents ...[]byte) string { return string(element(t, asn1.TagSequence, contents...)) }
	return map[string]FileForm{
		"text before\n-----BEGIN CERTIFICATE-----\n":       FormPEM,
		sequence(element(t, asn1.TagInteger, []byte{3})):   FormPKCS12,
		sequence(oid(oidSignedData), []byte{0xa0, 0}):      FormPKCS7,
		sequence(oid(oidData), []byte{0xa0, 0}):            FormOther,
		sequence(element(t, asn1.TagSequence)):             FormCertificate,
		sequence():                                         FormOther,
		sequence([]byte{0xa0, 0}):                          FormOther,
		string(element(t, asn1.TagOctetString, []byte{3})): FormOther,
		"":      FormOther,
		"0\x81": FormOther,
	}
}

func TestFormOf(t *testing.T) {
	t.Parallel()
	for data, want := range forms(t) {
		if got := FormOf([]byte(data)); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}

// Whoever gives another file is told what it is.
func TestOtherFormsAreRefusedAsWhatTheyAre(t *testing.T) {
	t.Parallel()
	says := map[FileForm]string{FormPEM: "is PEM", FormPKCS7: "is PKCS#7", FormCertificate: "is a certificate without", FormPKCS12: "is not a PKCS#12 file", FormOther: "is not a PKCS#12 file"}
	fields := PKCS12Fields{Err: errors.New("refused"), File: "file", Password: "password"}
	for data, form := range forms(t) {
		_, why := OpenPKCS12([]byte(data), secret.New("x"), fields)
		if why == nil || why.Field != "file" || why.Remedy == "" || !strings.HasPrefix(why.Reason, says[form]) {
			t.Errorf("%q: %v", data, why)
		}
	}
}

func FuzzFormOf(f *testing.F) {
	for data := range forms(f) {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		form, mark := FormOf(data), bytes.Contains(data, []byte("-----BEGIN "))
		if form == FormPEM && !mark || form == FormOther && mark {
			t.Errorf("%q is %q", data, form)
		}
	})
}
