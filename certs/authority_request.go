package certs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"time"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// maxRequest bounds a certificate request: one with an RSA-4096 key has 2 KB.
const maxRequest = 16 << 10

const pemRequest = "CERTIFICATE REQUEST" // RFC 7468, section 7

// Request makes a key for an issuing CA, keeps it, and returns a certificate
// request for it (PKCS#10, in PEM), to be signed by our own root where that is,
// or by a corporate CA. Import takes what comes back; there may be several requests.
func (a *Authority) Request(ctx context.Context, kind KeyKind) ([]byte, error) {
	kind, err := kind.orDefault()
	if err != nil {
		return nil, err
	}
	a.making.Lock()
	defer a.making.Unlock()
	k := a.maker()
	m, err := k.request(kind)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	if err := a.save(ctx, k.now, "authority.request", hash(m.der()), m); err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: m.der()}), nil
}

func (k maker) request(kind KeyKind) (member, error) {
	key, err := kind.newKey()
	if err != nil {
		return member{}, err
	}
	wanted, err := caExtensions()
	if err != nil {
		return member{}, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:         pkix.Name{Organization: []string{k.organization}, CommonName: k.caName(roleIssuing)},
		ExtraExtensions: wanted,
	}, key)
	if err != nil {
		return member{}, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return member{}, err
	}
	return member{role: roleRequest, request: request, key: key, created: k.now.UTC().Truncate(time.Microsecond)}, nil
}

// caExtensions ask a corporate CA for what an issuing CA needs (RFC 5280,
// sections 4.2.1.3 and 4.2.1.9): CA:TRUE, pathlen:0; keyCertSign and cRLSign.
func caExtensions() ([]pkix.Extension, error) {
	constraints, err := asn1.Marshal(struct {
		IsCA       bool
		MaxPathLen int
	}{IsCA: true})
	if err != nil {
		return nil, err
	}
	usage, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}) // bits 5 and 6
	if err != nil {
		return nil, err
	}
	return []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: constraints},
		{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: usage},
	}, nil
}

// SignRequest makes an issuing certificate under root for the key of a request,
// in PEM or DER. It needs nothing but its arguments: it runs where the root is.
// Names, usage and validity are ours, whatever the request asks for; without an
// organisation in o the root's is meant.
func SignRequest(root RootFile, csr []byte, o Options, now time.Time) (*x509.Certificate, error) {
	if err := root.check(now); err != nil {
		return nil, err
	}
	request, refused := parseRequest(csr)
	if refused != nil {
		return nil, refused
	}
	if samePublicKey(request.PublicKey, root.Certificate.PublicKey) {
		return nil, refusal.New(ErrAuthorityInvalid, "csr", "has the root's own key", "make the request on the server: sallyport ca csr")
	}
	if names := root.Certificate.Subject.Organization; o.Organization == "" && len(names) > 0 {
		o.Organization = names[0]
	}
	k := o.withDefaults().maker()
	k.now = now
	parent := member{role: roleRoot, cert: root.Certificate, key: root.Key}
	cert, err := k.certify(&parent, roleIssuing, request.PublicKey, nil, names{})
	if err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	return cert, nil
}

func parseRequest(csr []byte) (*x509.CertificateRequest, *refusal.Error) {
	refuse := func(reason string) (*x509.CertificateRequest, *refusal.Error) {
		return nil, refusal.New(ErrAuthorityInvalid, "csr", reason, "give the file that `sallyport ca csr` wrote")
	}
	if len(csr) > maxRequest {
		return refuse(fmt.Sprintf("is larger than %d KB", maxRequest>>10))
	}
	der := csr
	if bytes.Contains(csr, []byte("-----BEGIN")) {
		block, _ := pem.Decode(csr)
		if block == nil || block.Type != pemRequest && block.Type != "NEW "+pemRequest {
			return refuse("is not a certificate request in PEM")
		}
		der = block.Bytes
	}
	if err := bounded.DER(der, maxRequest, bounded.MaxDepth); err != nil {
		return refuse("is not a certificate request")
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return refuse("is not a certificate request")
	}
	if err := CheckKey(request.PublicKey); err != nil { // before anything is verified with it
		return refuse("has a key that we do not certify: " + err.Error())
	}
	if err := request.CheckSignature(); err != nil {
		return refuse("is not signed by its own key")
	}
	return request, nil
}
