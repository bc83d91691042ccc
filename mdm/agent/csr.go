package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"

	"github.com/smallstep/scep/x509util"
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}

	// subjectOIDs are the short names that the SCEP payload's Subject may use.
	subjectOIDs = map[string]asn1.ObjectIdentifier{
		"C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}, "CN": {2, 5, 4, 3},
	}
)

// altNames are the names of the SCEP payload's SubjectAltName.
type altNames struct {
	mail, dns, uri, upn []string
}

func (n altNames) empty() bool { return len(n.mail)+len(n.dns)+len(n.uri)+len(n.upn) == 0 }

// parseSubject turns [[["CN","x"]],[["O","y"]]] into a distinguished name.
func parseSubject(raw []any) (pkix.RDNSequence, error) {
	var name pkix.RDNSequence
	for _, set := range raw {
		pairs, ok := set.([]any)
		if !ok {
			return nil, &fieldError{key: "Subject"}
		}
		var rdn pkix.RelativeDistinguishedNameSET
		for _, p := range pairs {
			pair, ok := p.([]any)
			if !ok || len(pair) != 2 {
				return nil, &fieldError{key: "Subject"}
			}
			kind, ok1 := pair[0].(string)
			value, ok2 := pair[1].(string)
			oid, ok3 := subjectOID(kind)
			if !ok1 || !ok2 || !ok3 || value == "" {
				return nil, &fieldError{key: "Subject"}
			}
			rdn = append(rdn, pkix.AttributeTypeAndValue{Type: oid, Value: value})
		}
		name = append(name, rdn)
	}
	return name, nil
}

func subjectOID(s string) (asn1.ObjectIdentifier, bool) {
	if oid, ok := subjectOIDs[s]; ok {
		return oid, true
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		oid = append(oid, n)
	}
	return oid, len(oid) > 2
}

// certificateRequest makes the PKCS#10 request that the SCEP payload describes:
// its subject, names and key usage, and the challenge as challengePassword.
func certificateRequest(q scepPayload, key *rsa.PrivateKey) (*x509.CertificateRequest, error) {
	subject, err := asn1.Marshal(q.subject)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	var extensions []pkix.Extension
	if q.keyUsage != 0 {
		e, err := keyUsageExtension(q.keyUsage)
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, e)
	}
	if !q.names.empty() {
		e, err := q.names.extension()
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, e)
	}
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{
			RawSubject: subject, SignatureAlgorithm: x509.SHA256WithRSA, ExtraExtensions: extensions,
		},
		ChallengePassword: q.challenge,
	}, key)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return x509.ParseCertificateRequest(der)
}

// keyUsageExtension asks for digitalSignature (bit 0) and keyEncipherment (bit 2).
func keyUsageExtension(usage int) (pkix.Extension, error) {
	var bits byte
	if usage&keyUsageSign != 0 {
		bits |= 0x80
	}
	if usage&keyUsageEncrypt != 0 {
		bits |= 0x20
	}
	value, err := asn1.Marshal(asn1.BitString{Bytes: []byte{bits}, BitLength: 3})
	return pkix.Extension{Id: oidKeyUsage, Critical: true, Value: value}, err
}

// extension encodes GeneralNames (RFC 5280, section 4.2.1.6).
func (n altNames) extension() (pkix.Extension, error) {
	var names []asn1.RawValue
	for _, upn := range n.upn {
		other, err := otherName(upn)
		if err != nil {
			return pkix.Extension{}, err
		}
		names = append(names, other)
	}
	for tag, list := range map[int][]string{1: n.mail, 2: n.dns, 6: n.uri} {
		for _, s := range list {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(s)})
		}
	}
	value, err := asn1.Marshal(names)
	return pkix.Extension{Id: oidSubjectAltName, Value: value}, err
}

// otherName is [0] { type-id OID, value [0] EXPLICIT UTF8String }, the form of
// a Microsoft user principal name.
func otherName(upn string) (asn1.RawValue, error) {
	id, err := asn1.Marshal(oidUPN)
	if err != nil {
		return asn1.RawValue{}, err
	}
	text, err := asn1.MarshalWithParams(upn, "utf8,explicit,tag:0")
	if err != nil {
		return asn1.RawValue{}, err
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(id, text...)}, nil
}

// principalNames reads the user principal names of a certificate's
// subjectAltName, which crypto/x509 leaves alone.
func principalNames(c *x509.Certificate) []string {
	var out []string
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			continue
		}
		for _, n := range names {
			if n.Class != asn1.ClassContextSpecific || n.Tag != 0 {
				continue
			}
			var id asn1.ObjectIdentifier
			rest, err := asn1.Unmarshal(n.Bytes, &id)
			if err != nil || !id.Equal(oidUPN) {
				continue
			}
			var text string
			if _, err := asn1.UnmarshalWithParams(rest, &text, "utf8,explicit,tag:0"); err == nil {
				out = append(out, text)
			}
		}
	}
	return out
}
