package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/refusal"
)

const (
	maxSubject = 1024 // bytes of a Subject that is worth showing
	maxName    = 256  // bytes of a name
)

// Holder is what a certificate from outside says of whom it is for. Names that
// could draw on a screen, or are too long, are left out.
type Holder struct {
	Subject string   // as people read it
	UPNs    []string // of the SubjectAltName, and a common name that looks like one
	Mails   []string // of the SubjectAltName, and addresses in the Subject
}

// HolderOf reads the names of a certificate.
func HolderOf(cert *x509.Certificate) Holder {
	h := Holder{
		Subject: subjectText(cert.Subject),
		UPNs:    eachOnce(otherNames(cert, oidUPN), subjectNames(cert, oidCommonName)),
		Mails: eachOnce(slices.DeleteFunc(slices.Clone(cert.EmailAddresses), unreadable),
			otherNames(cert, oidSmtpUTF8Mailbox), subjectNames(cert, oidEmailAddress)),
	}
	if refusal.Line(errUnreadable, "", h.Subject, maxSubject) != nil {
		h.Subject = ""
	}
	return h
}

func eachOnce(lists ...[]string) []string {
	var kept []string
	for _, n := range slices.Concat(lists...) {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.EqualFold(k, n) }) {
			kept = append(kept, n)
		}
	}
	return kept
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

var (
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
)

// otherNames returns the names of that kind in a certificate's SubjectAltName,
// which crypto/x509 does not read (RFC 5280, section 4.2.1.6).
func otherNames(cert *x509.Certificate, kind asn1.ObjectIdentifier) []string {
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
			if text, ok := otherText(name, kind); ok {
				names = append(names, text)
			}
		}
	}
	return names
}

func otherText(name asn1.RawValue, kind asn1.ObjectIdentifier) (string, bool) {
	if name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
		return "", false
	}
	var other struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue // [0] EXPLICIT
	}
	var text asn1.RawValue // UTF8String
	if _, err := asn1.UnmarshalWithParams(name.FullBytes, &other, "tag:0"); err != nil || !other.ID.Equal(kind) {
		return "", false
	}
	if _, err := asn1.Unmarshal(other.Value.Bytes, &text); err != nil {
		return "", false
	}
	value := string(text.Bytes)
	return value, value != "" && !unreadable(value)
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

// errUnreadable is told to nobody.
var errUnreadable = errors.New("unreadable")

// unreadable: a name out of a foreign file is shown in refusals and lists.
func unreadable(name string) bool { return refusal.Line(errUnreadable, "", name, maxName) != nil }
