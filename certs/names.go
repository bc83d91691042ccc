package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN             = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidSmtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
)

const (
	generalNameOther = 0 // RFC 5280, section 4.2.1.6
	generalNameMail  = 1
	contextSpecific  = asn1.ClassContextSpecific
)

// names are the alternative names of one certificate: those of a person, or
// those of a server.
type names struct {
	upn   string
	mail  string
	hosts hosts
}

func (n names) apply(t *x509.Certificate) error {
	t.DNSNames, t.IPAddresses = n.hosts.dns, n.hosts.ips
	extension, err := n.personal()
	if err != nil {
		return fmt.Errorf("encode names: %w", err)
	}
	if extension != nil {
		t.ExtraExtensions = append(t.ExtraExtensions, *extension)
	}
	return nil
}

// personal is the SubjectAltName with UPN and mail address, which crypto/x509
// cannot write by itself; nil when there is neither.
func (n names) personal() (*pkix.Extension, error) {
	var list []asn1.RawValue
	if n.upn != "" {
		// Active Directory maps a certificate to its account by this name (MS-PKCA).
		name, err := otherName(oidUPN, n.upn)
		if err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	switch {
	case n.mail == "":
	case isASCII(n.mail):
		list = append(list, asn1.RawValue{Class: contextSpecific, Tag: generalNameMail, Bytes: []byte(n.mail)})
	default: // rfc822Name is ASCII only; RFC 9598 has the rest
		name, err := otherName(oidSmtpUTF8Mailbox, n.mail)
		if err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	if len(list) == 0 {
		return nil, nil
	}
	der, err := asn1.Marshal(list)
	if err != nil {
		return nil, err
	}
	return &pkix.Extension{Id: oidSubjectAltName, Value: der}, nil
}

// otherName is [0] { type-id, [0] EXPLICIT UTF8String }.
func otherName(id asn1.ObjectIdentifier, value string) (asn1.RawValue, error) {
	typeID, err := asn1.Marshal(id)
	if err != nil {
		return asn1.RawValue{}, err
	}
	text, err := asn1.MarshalWithParams(value, "utf8")
	if err != nil {
		return asn1.RawValue{}, err
	}
	explicit, err := asn1.Marshal(asn1.RawValue{Class: contextSpecific, Tag: 0, IsCompound: true, Bytes: text})
	if err != nil {
		return asn1.RawValue{}, err
	}
	return asn1.RawValue{
		Class: contextSpecific, Tag: generalNameOther, IsCompound: true, Bytes: append(typeID, explicit...),
	}, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// hosts are the names of a server, in order and each once.
type hosts struct {
	dns []string
	ips []net.IP
}

func parseHosts(list []string) (hosts, error) {
	var dns []string
	addresses := map[string]net.IP{}
	for _, host := range list {
		host = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(host), "."))
		if ip := net.ParseIP(host); ip != nil {
			addresses[ip.String()] = ip
			continue
		}
		if host == "" || len(host) > 253 || strings.ContainsAny(host, "*/: @[]%\x00") || !isASCII(host) {
			return hosts{}, fmt.Errorf("%q is neither a host name nor an address", host)
		}
		dns = append(dns, host)
	}
	slices.Sort(dns)
	h := hosts{dns: slices.Compact(dns)}
	for _, ip := range addresses {
		h.ips = append(h.ips, ip)
	}
	slices.SortFunc(h.ips, func(a, b net.IP) int { return strings.Compare(a.String(), b.String()) })
	if len(h.dns)+len(h.ips) == 0 {
		return hosts{}, errors.New("no host name or address given")
	}
	return h, nil
}

// cn is the name that a person reads in a list of certificates.
func (h hosts) cn() string {
	if len(h.dns) > 0 {
		return h.dns[0]
	}
	return h.ips[0].String()
}

// are reports whether cert is for exactly these names.
func (h hosts) are(cert *x509.Certificate) bool {
	return slices.Equal(h.dns, cert.DNSNames) &&
		slices.EqualFunc(h.ips, cert.IPAddresses, func(a, b net.IP) bool { return a.Equal(b) })
}
