package agent

import (
	"bytes"
	"context"
	"crypto/md5"  // CAFingerprint may be MD5: Apple's words, we compare only
	"crypto/sha1" // CAFingerprint is usually SHA-1
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/scep"
)

// scepPayload is what com.apple.security.scep asks for
// (https://developer.apple.com/documentation/devicemanagement/scep).
type scepPayload struct {
	uuid        string
	url         *url.URL
	name        string
	subject     pkix.RDNSequence
	names       altNames
	challenge   string
	keySize     int
	keyUsage    int
	fingerprint []byte

	renews  *identity // signs in place of the challenge; nil: a first request
	overTLS bool      // what GetCACert answers is believed: it comes from a server that the phone verified
}

func parseSCEP(one payload) (scepPayload, error) {
	outer := &reader{d: one.keys}
	r := &reader{d: outer.dict("PayloadContent", true)}
	q := scepPayload{
		uuid: one.UUID, name: r.text("Name"), challenge: r.text("Challenge"),
		keySize: r.integer("Keysize", 1024), keyUsage: r.integer("Key Usage", 0), fingerprint: r.data("CAFingerprint", false),
	}
	kind, address := r.text("Key Type"), r.need("URL")
	subject := r.array("Subject", false)
	alt := &reader{d: r.dict("SubjectAltName", false)}
	q.names = altNames{mail: alt.texts("rfc822Name"), dns: alt.texts("dNSName"), uri: alt.texts("uniformResourceIdentifier"), upn: alt.texts("ntPrincipalName")}
	var err error
	if q.subject, err = parseSubject(subject); err != nil && r.err == nil {
		r.err = err
	}
	for _, e := range []error{outer.err, r.err, alt.err} {
		if e := payloadField(one.Type, e); e != nil {
			return q, e
		}
	}
	if q.url, err = url.Parse(address); err != nil || (q.url.Scheme != "https" && q.url.Scheme != "http") || q.url.Host == "" {
		return q, refuse(ErrProfile, domainPayload, codePayloadBadValue, "The address of the certificate service is not a URL.")
	}
	if kind != "" && kind != "RSA" {
		return q, refuse(ErrProfile, domainPayload, codePayloadBadValue, "The key type %q is not supported.", kind)
	}
	if q.keySize != smallestKey && q.keySize != largeKey {
		return q, refuse(ErrProfile, domainPayload, codePayloadBadValue, "A key of %d bits is not made.", q.keySize)
	}
	if q.keyUsage&^(keyUsageSign|keyUsageEncrypt) != 0 {
		return q, refuse(ErrProfile, domainSCEP, codeSCEPKeyUsage, "The key usage %d is not valid.", q.keyUsage)
	}
	return q, nil
}

// transaction is a SCEP request that was made and, perhaps, sent. It is kept
// before it leaves, so that a new process sends the same bytes.
type transaction struct {
	Key     string   `json:"key"`              // name of the key file
	ID      string   `json:"id"`               // transactionID
	Nonce   []byte   `json:"nonce"`            // senderNonce
	Signer  []byte   `json:"signer"`           // certificate that the reply is closed to
	Opener  string   `json:"opener,omitempty"` // name of its key file; empty: Key
	Message []byte   `json:"message"`          // the PKIOperation
	CAs     [][]byte `json:"cas"`              // what GetCACert answered
}

// obtain runs SCEP (RFC 8894) for one payload and returns the identity, whose
// key is saved; the state is not yet. roots is what its certificate must lead
// to; owner names the profile that asks.
func (p *Phone) obtain(ctx context.Context, q scepPayload, owner string, roots *x509.CertPool) (identity, error) {
	handle := sha256.Sum256([]byte(strings.Join([]string{q.uuid, q.url.String(), q.challenge}, "\n")))
	name := hex.EncodeToString(handle[:16])
	t, pending := p.s.Pending[name]
	if !pending {
		var err error
		if t, err = p.prepare(ctx, q, roots); err != nil {
			return identity{}, err
		}
		if p.s.Pending == nil {
			p.s.Pending = map[string]transaction{}
		}
		p.s.Pending[name] = t
		if err := p.save(); err != nil {
			return identity{}, err
		}
	}
	id, err := p.operate(ctx, q, t, roots)
	if err != nil {
		// Without a verdict the same request may be sent again later.
		if !errors.Is(err, ErrUnreachable) && ctx.Err() == nil {
			delete(p.s.Pending, name)
		}
		return identity{}, err
	}
	delete(p.s.Pending, name)
	id.Profile, id.UUID = owner, q.uuid
	return id, nil
}

// prepare asks the CA what it can do and who it is, makes the key and the message.
func (p *Phone) prepare(ctx context.Context, q scepPayload, roots *x509.CertPool) (transaction, error) {
	if err := p.capabilities(ctx, q); err != nil {
		return transaction{}, err
	}
	cas, err := p.caCertificates(ctx, q)
	if err != nil {
		return transaction{}, err
	}
	ra, err := registrar(q, cas, q.roots(roots, cas), p.now())
	if err != nil {
		return transaction{}, err
	}
	keyName, key, err := p.disk.newKey(q.keySize)
	if err != nil {
		return transaction{}, err
	}
	csr, err := certificateRequest(q, key)
	if err != nil {
		return transaction{}, err
	}
	t := transaction{Key: keyName}
	for _, c := range cas {
		t.CAs = append(t.CAs, c.Raw)
	}
	by := requester{key: key, kind: scep.PKCSReq}
	if q.renews == nil {
		by.cert, err = selfSigned(csr, key, p.now())
	} else {
		t.Opener = q.renews.Key
		by, err = p.renewer(*q.renews)
	}
	if err != nil {
		return transaction{}, fmt.Errorf("certificate request: %w", err)
	}
	return t, t.seal(csr, by, ra)
}

// renewer is an identity that asks for its successor (RFC 8894, section 3.3.1.2).
func (p *Phone) renewer(id identity) (requester, error) {
	cert, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		return requester{}, err
	}
	key, err := p.disk.key(id.Key)
	return requester{cert, key, scep.RenewalReq}, err
}

// roots are what certificates of the service must lead to.
func (q scepPayload) roots(trusted *x509.CertPool, cas []*x509.Certificate) *x509.CertPool {
	if !q.overTLS || q.url.Scheme != "https" {
		return trusted
	}
	all := trusted.Clone()
	for _, c := range cas {
		if c.IsCA {
			all.AddCert(c)
		}
	}
	return all
}

// capabilities refuses a CA that would make the phone fall back to SHA-1 or
// DES (RFC 8894, section 3.5.2).
func (p *Phone) capabilities(ctx context.Context, q scepPayload) error {
	a, err := p.scepGet(ctx, q, "GetCACaps")
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for line := range strings.SplitSeq(string(a.body), "\n") {
		has[strings.TrimSpace(line)] = true
	}
	if has["SCEPStandard"] || (has["AES"] && has["SHA-256"] && has["POSTPKIOperation"]) {
		return nil
	}
	return refuse(ErrProtocol, domainSCEP, codeSCEPCaps, "The certificate service offers no AES, SHA-256 and POST.")
}

// scepGet asks with the payload's Name as the CA identifier, as iOS does.
func (p *Phone) scepGet(ctx context.Context, q scepPayload, operation string) (*answer, error) {
	u := *q.url
	query := u.Query()
	query.Set("operation", operation)
	if q.name != "" {
		query.Set("message", q.name)
	}
	u.RawQuery = query.Encode()
	a, err := p.send(ctx, request{what: operation, method: http.MethodGet, url: u.String(), header: map[string]string{"User-Agent": agentMDM}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, refuse(ErrRefused, domainSCEP, codeSCEPCAReply, "The certificate service answered %s with %d.", operation, a.status)
	}
	return a, nil
}

// caCertificates asks for the CA's certificate, and that of its registration
// authority when it has one (RFC 8894, section 4.2).
func (p *Phone) caCertificates(ctx context.Context, q scepPayload) ([]*x509.Certificate, error) {
	a, err := p.scepGet(ctx, q, "GetCACert")
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch kind {
	case "application/x-x509-ca-cert":
		c, err := x509.ParseCertificate(a.body)
		if err != nil {
			return nil, refuse(ErrProtocol, domainSCEP, codeSCEPCAReply, "The CA certificate is malformed.").because(err)
		}
		return []*x509.Certificate{c}, nil
	case "application/x-x509-ca-ra-cert":
		p7, err := parseCMS(a.body)
		if err != nil || len(p7.Certificates) == 0 {
			return nil, refuse(ErrProtocol, domainSCEP, codeSCEPRAReply, "The CA and RA certificates are malformed.").because(err)
		}
		return p7.Certificates, nil
	}
	return nil, refuse(ErrProtocol, domainSCEP, codeSCEPCAReply, "GetCACert answered with type %q.", kind)
}

// registrar picks the certificate that requests are closed to: RSA, usable for
// encryption, an RA rather than the CA itself, leading to a trusted root.
func registrar(q scepPayload, cas []*x509.Certificate, roots *x509.CertPool, now time.Time) (*x509.Certificate, error) {
	if len(q.fingerprint) > 0 && !slices.ContainsFunc(cas, func(c *x509.Certificate) bool { return matches(c, q.fingerprint) }) {
		return nil, refuse(ErrUntrusted, domainSCEP, codeSCEPCAReply, "The CA certificate has another fingerprint.")
	}
	var best *x509.Certificate
	for _, c := range cas {
		if c.PublicKeyAlgorithm != x509.RSA || c.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
			continue
		}
		if best == nil || (best.IsCA && !c.IsCA) {
			best = c
		}
	}
	if best == nil {
		return nil, refuse(ErrProtocol, domainSCEP, codeSCEPRAReply, "No certificate of the service can be encrypted to.")
	}
	if err := leads(best, cas, roots, now, x509.ExtKeyUsageAny); err != nil {
		return nil, refuse(ErrUntrusted, domainSCEP, codeSCEPRAReply, "The certificate of the service is not trusted.").because(err)
	}
	return best, nil
}

func matches(c *x509.Certificate, fingerprint []byte) bool {
	s256, s1, m5 := sha256.Sum256(c.Raw), sha1.Sum(c.Raw), md5.Sum(c.Raw)
	for _, sum := range [][]byte{s256[:], s1[:], m5[:]} {
		if subtle.ConstantTimeCompare(sum, fingerprint) == 1 {
			return true
		}
	}
	return false
}

// leads verifies that c leads to roots at now, through any of via.
func leads(c *x509.Certificate, via []*x509.Certificate, roots *x509.CertPool, now time.Time, usage x509.ExtKeyUsage) error {
	intermediates := x509.NewCertPool()
	for _, v := range via {
		intermediates.AddCert(v)
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// operate sends the message and opens the reply (RFC 8894, section 3.3.2).
func (p *Phone) operate(ctx context.Context, q scepPayload, t transaction, roots *x509.CertPool) (identity, error) {
	u := *q.url
	query := u.Query()
	query.Set("operation", "PKIOperation")
	u.RawQuery = query.Encode()
	a, err := p.send(ctx, request{
		what: "certificate request", method: http.MethodPost, url: u.String(), body: t.Message,
		header: map[string]string{"Content-Type": "application/x-pki-message", "User-Agent": agentMDM},
	})
	if err != nil {
		return identity{}, err
	}
	if use(&p.s.Script.LoseReplies) {
		p.tell("script", "the certificate is lost on its way")
		return identity{}, fmt.Errorf("certificate request: %w: %w", ErrUnreachable, errLost)
	}
	if a.status != http.StatusOK {
		return identity{}, refuse(ErrRefused, domainSCEP, codeSCEPOperation, "The certificate service answered the request with %d.", a.status)
	}
	if kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); kind != "application/x-pki-message" {
		return identity{}, refuse(ErrProtocol, domainSCEP, codeSCEPOperation, "The reply has type %q.", kind)
	}
	certs, err := p.openReply(t, a.body)
	if err != nil {
		return identity{}, err
	}
	key, err := p.disk.key(t.Key)
	if err != nil {
		return identity{}, err
	}
	mine := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return key.PublicKey.Equal(c.PublicKey) })
	if mine < 0 {
		return identity{}, refuse(ErrProtocol, domainSCEP, codeSCEPBadCert, "The issued certificate is for another key.")
	}
	cas, err := parseAll(t.CAs)
	if err != nil {
		return identity{}, err
	}
	if err := fit(certs[mine], append(cas, certs...), q.roots(roots, cas), q.keyUsage, p.now()); err != nil {
		return identity{}, err
	}
	return identity{Key: t.Key, Certificate: certs[mine].Raw, Chain: chain(certs[mine], append(cas, certs...))}, nil
}

// chain is who issued c, and so on up to below the root: what goes along where c
// is presented.
func chain(c *x509.Certificate, all []*x509.Certificate) [][]byte {
	const longest = 4
	var out [][]byte
	for len(out) < longest {
		i := slices.IndexFunc(all, func(by *x509.Certificate) bool {
			return bytes.Equal(by.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(by) == nil
		})
		if i < 0 || bytes.Equal(all[i].RawSubject, all[i].RawIssuer) {
			break
		}
		c = all[i]
		out = append(out, c.Raw)
	}
	return out
}

// fit checks what was issued: that it leads to roots now, and may do what the
// payload asked for and the phone will use it for.
func fit(c *x509.Certificate, via []*x509.Certificate, roots *x509.CertPool, usage int, now time.Time) error {
	if err := leads(c, via, roots, now, x509.ExtKeyUsageClientAuth); err != nil {
		return refuse(ErrUntrusted, domainSCEP, codeSCEPBadCert, "The issued certificate does not lead to a trusted root.").because(err)
	}
	missing := c.IsCA ||
		(usage&keyUsageSign != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0) ||
		(usage&keyUsageEncrypt != 0 && c.KeyUsage&x509.KeyUsageKeyEncipherment == 0)
	if missing {
		return refuse(ErrProtocol, domainSCEP, codeSCEPBadCert, "The issued certificate is made for another use.")
	}
	return nil
}

// openReply verifies a CertRep against the service's certificates and decrypts it.
func (p *Phone) openReply(t transaction, body []byte) ([]*x509.Certificate, error) {
	bad := func(err error) error {
		return refuse(ErrProtocol, domainSCEP, codeSCEPOperation, "The reply of the certificate service is not valid.").because(err)
	}
	cas, err := parseAll(t.CAs)
	if err != nil {
		return nil, bad(err)
	}
	p7, err := parseCMS(body)
	if err != nil {
		return nil, bad(err)
	}
	if len(p7.Signers) != 1 {
		return nil, bad(fmt.Errorf("%d signers", len(p7.Signers)))
	}
	if err := strongDigest(p7); err != nil {
		return nil, bad(err)
	}
	m, err := parseCertRep(body, cas)
	if err != nil {
		return nil, bad(err)
	}
	if string(m.TransactionID) != t.ID || subtle.ConstantTimeCompare(m.RecipientNonce, t.Nonce) != 1 {
		return nil, bad(errors.New("it answers another request"))
	}
	switch m.PKIStatus {
	case scep.SUCCESS:
	case scep.FAILURE:
		return nil, refuse(ErrRefused, domainSCEP, codeSCEPOperation, "The certificate service refused the request (failInfo %s).", m.FailInfo.String())
	default:
		return nil, refuse(ErrRefused, domainSCEP, codeSCEPOperation, "The certificate service wants the phone to wait for a person.")
	}
	key, err := p.disk.key(orText(t.Opener, t.Key))
	if err != nil {
		return nil, err
	}
	signer, err := x509.ParseCertificate(t.Signer)
	if err != nil {
		return nil, bad(err)
	}
	plain, err := decrypt(p7.Content, signer, key)
	if err != nil {
		return nil, bad(err)
	}
	bag, err := parseCMS(plain)
	if err != nil {
		return nil, bad(err)
	}
	return bag.Certificates, nil
}

// parseCertRep lets the SCEP library verify the signature and read the
// attributes; it panics on some.
func parseCertRep(body []byte, cas []*x509.Certificate) (m *scep.PKIMessage, err error) {
	defer func() {
		if recover() != nil {
			m, err = nil, errors.New("not a SCEP message")
		}
	}()
	m, err = scep.ParsePKIMessage(body, scep.WithCACerts(cas))
	if err == nil && (m.MessageType != scep.CertRep || m.CertRepMessage == nil) {
		return nil, errors.New("not a CertRep")
	}
	if err == nil && m.PKIStatus == scep.FAILURE {
		_ = m.FailInfo.String() // panics when unknown
	}
	return m, err
}

func parseAll(list [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range list {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}
