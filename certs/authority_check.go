package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"sallyport/internal/refusal"
)

// inspection looks at an issuing certificate and what stands above it. It lists
// everything that is wrong, as a corporate CA may take days for each attempt.
type inspection struct {
	chain    []*x509.Certificate
	now      time.Time
	refused  refusal.List
	warnings []string
}

func (c *inspection) refuse(field, reason, remedy string) {
	c.refused.Add(refusal.New(ErrAuthorityInvalid, field, reason, remedy))
}

func (c *inspection) inspect() {
	const order = "give the issuing certificate first, then the one that signed it, and so on up to the root"
	switch {
	case len(c.chain) == 0:
		c.refuse("chain", "is missing", order)
		return
	case len(c.chain) > maxAbove:
		c.refuse("chain", fmt.Sprintf("has more than %d certificates", maxAbove), order)
		return
	case len(c.chain) == 1 && selfIssued(c.chain[0]):
		c.refuse("chain[0]", "is a root, whose key would have to be on this server",
			"make an issuing certificate under it (sallyport ca csr shows what for), and import that")
		return
	}
	for i, cert := range c.chain {
		c.certificate(i, cert)
	}
	c.links(order)
	if c.refused == nil {
		c.path()
	}
}

func field(i int) string { return fmt.Sprintf("chain[%d]", i) }

// certificate looks at one by itself (RFC 5280, section 4.2.1).
func (c *inspection) certificate(i int, cert *x509.Certificate) {
	again := "have one signed by the profile for subordinate CAs"
	if !cert.BasicConstraintsValid || !cert.IsCA {
		c.refuse(field(i), "is not a CA: its basic constraints lack CA:TRUE", again)
	}
	// Without the extension a key is good for everything; but ours has to list what is revoked.
	if cert.KeyUsage&x509.KeyUsageCertSign == 0 && (i == 0 || cert.KeyUsage != 0) {
		c.refuse(field(i), "lacks the key usage keyCertSign", again)
	}
	if cert.KeyUsage&x509.KeyUsageCRLSign == 0 && i == 0 {
		c.refuse(field(i), "lacks the key usage cRLSign", again)
	}
	if limited := cert.MaxPathLen > 0 || cert.MaxPathLenZero; limited && cert.MaxPathLen < i {
		c.refuse(field(i), fmt.Sprintf("allows %d CAs under it, and there are %d", cert.MaxPathLen, i), "have its path length raised")
	}
	if i == 0 && len(cert.SubjectKeyId) == 0 {
		c.refuse(field(i), "has no subject key identifier, by which its CRL is found", again)
	}
	if reason := weak(cert, i); reason != "" {
		c.refuse(field(i), reason, "have a sound key signed, with SHA-256 or better")
	}
	for _, id := range cert.UnhandledCriticalExtensions {
		what := "the critical extension " + id.String()
		if id.String() == "2.5.29.30" {
			what = "name constraints of a form other than DNS, IP and mail, which exclude whatever we cannot read"
		}
		c.refuse(field(i), "has "+what, "have one signed without it")
	}
	c.times(i, cert)
}

func (c *inspection) times(i int, cert *x509.Certificate) {
	switch {
	case c.now.After(cert.NotAfter):
		c.refuse(field(i), "expired on "+cert.NotAfter.UTC().Format(time.DateOnly), "have a new one signed")
	case c.now.Before(cert.NotBefore):
		c.refuse(field(i), "is not valid before "+cert.NotBefore.UTC().Format(time.RFC3339), "set this machine's clock, or wait")
	case cert.NotAfter.Before(c.now.Add(identityLifetime)):
		c.warnings = append(c.warnings, fmt.Sprintf("%s ends on %s: identities that last %d days are cut short there",
			cert.Subject, cert.NotAfter.UTC().Format(time.DateOnly), identityLifetime/day))
	}
	if i == 0 && len(cert.PermittedEmailAddresses) > 0 {
		c.warnings = append(c.warnings, "it may certify mail addresses of these only: "+strings.Join(cert.PermittedEmailAddresses, ", "))
	}
}

// weak says what is too weak about a certificate's key or signature. How a root
// signed itself does not matter: nobody verifies that.
func weak(cert *x509.Certificate, i int) string {
	err := CheckKey(cert.PublicKey)
	if i > 0 && err != nil && strong(cert) {
		err = nil
	}
	if err != nil {
		return "has a weak key: " + err.Error()
	}
	switch cert.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
		if !selfIssued(cert) {
			return "is signed with " + cert.SignatureAlgorithm.String()
		}
	}
	return ""
}

// strong: others may have larger keys than we make.
func strong(cert *x509.Certificate) bool {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() > 4096 && k.N.BitLen() <= 8192 && k.E >= 65537 && k.E%2 == 1 && checkModulus(k.N) == nil
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P521()
	}
	return false
}

// links verifies who signed whom.
func (c *inspection) links(order string) {
	last := len(c.chain) - 1
	if root := c.chain[last]; !selfIssued(root) {
		c.refuse("chain", "does not lead to its root: "+root.Subject.String()+" was signed by "+root.Issuer.String(), order)
	}
	for i, cert := range c.chain[:last] {
		if weak(cert, i) != "" || weak(c.chain[i+1], i+1) != "" {
			continue // was refused, and is not verified with
		}
		if selfIssued(cert) {
			c.refuse(field(i), "is a root, and there are more certificates behind it", order)
			continue
		}
		if err := cert.CheckSignatureFrom(c.chain[i+1]); err != nil && c.refused == nil {
			c.refuse(field(i), "was not signed by the next: "+c.chain[i+1].Subject.String(), order)
		}
	}
}

// path verifies the whole chain as a phone would.
func (c *inspection) path() {
	if _, err := c.chain[0].Verify(trustIn(c.chain[1:], c.now)); err != nil {
		c.refuse("chain", "is not a valid chain: "+err.Error(), "have a new certificate signed")
	}
}

// trustIn trusts the last of a chain.
func trustIn(chain []*x509.Certificate, now time.Time) x509.VerifyOptions {
	o := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range chain[:len(chain)-1] {
		o.Intermediates.AddCert(c)
	}
	o.Roots.AddCert(chain[len(chain)-1])
	return o
}

// trial signs a certificate of each rule with the names of our server, and asks
// whether it would be believed: extended usages and name constraints above
// it could exclude what we issue. Each is valid for this one second, its key is
// forgotten, and it never leaves this function.
func (k maker) trial(f family, issuing member, chain []*x509.Certificate) error {
	key, err := KeyP256.newKey()
	if err != nil {
		return fmt.Errorf("make trial key: %w", err)
	}
	for _, name := range []RuleName{RuleMDMIdentity, RuleMailIdentity, RuleSMIMESigning, RuleProfileSigner, RuleServer} {
		r := issuanceRules[name]
		r.mail = false // whose mail, is not known here: constraints on that are warned of
		r.rsa = false  // nothing is encrypted to it, and a curve's key is made at once
		c := content{subject: pkix.Name{Organization: []string{k.organization}, CommonName: "Trial"}, serial: newSerial(), key: key.Public()}
		c.notBefore, c.notAfter = k.now.Truncate(time.Second), k.now.Truncate(time.Second).Add(time.Second)
		server, served := f.newest(roleServer)
		if name == RuleServer {
			if !served {
				continue // another certificate is used
			}
			c.names.hosts = hosts{dns: server.cert.DNSNames, ips: server.cert.IPAddresses}
		}
		cert, err := sign(r, c, &issuing, nil)
		if err != nil {
			return fmt.Errorf("sign trial certificate: %w", err)
		}
		o := trustIn(append([]*x509.Certificate{issuing.cert}, chain[1:]...), c.notBefore)
		if len(r.extUsage) > 0 {
			o.KeyUsages = r.extUsage
		}
		if _, err := cert.Verify(o); err != nil {
			return distrusted(name, err, c.names.hosts)
		}
	}
	return nil
}

func distrusted(name RuleName, err error, h hosts) error {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName:
		return refusal.New(ErrAuthorityInvalid, "chain", "has name constraints that exclude the names of this server: "+h.String(),
			"have one signed whose constraints allow them, or give the server a certificate of its own (tls_cert)")
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return refusal.New(ErrAuthorityInvalid, "chain", "has extended key usages that exclude certificates of the rule "+string(name),
			"have one signed without extended key usages, or with clientAuth, emailProtection and serverAuth")
	}
	return refusal.New(ErrAuthorityInvalid, "chain", "is such that nobody believes certificates of the rule "+string(name)+": "+err.Error(),
		"have a new certificate signed")
}

func (h hosts) String() string {
	words := append([]string(nil), h.dns...)
	for _, ip := range h.ips {
		words = append(words, net.IP.String(ip))
	}
	return strings.Join(words, ", ")
}
