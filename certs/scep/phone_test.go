package scep

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"sallyport/certs"
)

const day = 24 * time.Hour

// SCEP's attributes once more, written down from RFC 8894 by another hand.
var (
	attrMessageType = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	attrNonce       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	attrTransaction = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// phone is the client side of one transaction. Its fields may be changed
// before message is called.
type phone struct {
	key       crypto.Signer // signs the message
	cert      *x509.Certificate
	csrKey    crypto.Signer // is to be certified
	template  x509.CertificateRequest
	challenge string

	messageType any // string, twice, or nil to leave it out
	transaction any
	nonce       any
	digest      asn1.ObjectIdentifier
	cipher      int
	recipient   *x509.Certificate
	csr         []byte // instead of one of template and challenge
	envelope    []byte // instead of one around the request
}

// twice is an attribute that stands in a message two times.
type twice struct{ text string }

var phoneKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func newPhone(f *fixture, challenge string) *phone {
	return &phone{
		key: phoneKey(), cert: selfSigned(phoneKey()), csrKey: phoneKey(),
		template:  x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}},
		challenge: challenge, messageType: "19", transaction: "transaction-1", nonce: []byte("0123456789abcdef"),
		digest: pkcs7.OIDDigestAlgorithmSHA256, cipher: pkcs7.EncryptionAlgorithmAES256CBC,
		recipient: f.Authority.RA().Certificate,
	}
}

func selfSigned(key crypto.Signer) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "phone"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, t, key.Public(), key))))
}

// libraryCipher guards the library's package variable.
var libraryCipher sync.Mutex

func encrypt(content []byte, to *x509.Certificate, cipher int) []byte {
	libraryCipher.Lock()
	defer libraryCipher.Unlock()
	before := pkcs7.ContentEncryptionAlgorithm
	defer func() { pkcs7.ContentEncryptionAlgorithm = before }()
	pkcs7.ContentEncryptionAlgorithm = cipher
	return must(pkcs7.Encrypt(append([]byte(nil), content...), []*x509.Certificate{to}))
}

func (p *phone) message(tb testing.TB) []byte {
	tb.Helper()
	if p.envelope == nil {
		csr := p.csr
		if csr == nil {
			var err error
			csr, err = x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
				CertificateRequest: p.template, ChallengePassword: p.challenge,
			}, p.csrKey)
			if err != nil {
				tb.Fatal(err)
			}
		}
		p.envelope = encrypt(csr, p.recipient, p.cipher)
	}
	sd := must(pkcs7.NewSignedData(p.envelope))
	sd.SetDigestAlgorithm(p.digest)
	var attributes []pkcs7.Attribute
	for _, a := range []pkcs7.Attribute{{Type: attrMessageType, Value: p.messageType}, {Type: attrTransaction, Value: p.transaction}, {Type: attrNonce, Value: p.nonce}} {
		if double, ok := a.Value.(twice); ok {
			a.Value = double.text
			attributes = append(attributes, a)
		}
		if a.Value != nil {
			attributes = append(attributes, a)
		}
	}
	if err := sd.AddSigner(p.cert, p.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attributes}); err != nil {
		tb.Fatal(err)
	}
	return must(sd.Finish())
}

// send does the operation and reads the reply as a client would.
func (p *phone) send(tb testing.TB, f *fixture) *scep.PKIMessage {
	tb.Helper()
	contentType, body, err := f.Do(tb.Context(), "PKIOperation", p.message(tb))
	if err != nil {
		tb.Fatal(err)
	}
	if contentType != "application/x-pki-message" {
		tb.Errorf("content type %s", contentType)
	}
	return p.read(tb, body)
}

func (p *phone) read(tb testing.TB, body []byte) *scep.PKIMessage {
	tb.Helper()
	reply, err := scep.ParsePKIMessage(body)
	if err != nil {
		tb.Fatalf("read the reply: %v", err)
	}
	if reply.MessageType != scep.CertRep || string(reply.TransactionID) != p.transaction || string(reply.RecipientNonce) != string(p.nonce.([]byte)) {
		tb.Errorf("reply of type %q to transaction %q with nonce %x", string(reply.MessageType), reply.TransactionID, reply.RecipientNonce)
	}
	if reply.PKIStatus == scep.SUCCESS {
		if err := reply.DecryptPKIEnvelope(p.cert, p.key); err != nil {
			tb.Fatalf("open the reply: %v", err)
		}
	}
	return reply
}

// issues expects a certificate of the key that was asked for. The library's client
// does not read a reply from another time than its own, so the store is asked.
func (p *phone) issues(tb testing.TB, f *fixture) certs.Certificate {
	tb.Helper()
	before, _ := f.store.count()
	if _, _, err := f.Do(tb.Context(), "PKIOperation", p.message(tb)); err != nil {
		tb.Fatal(err)
	}
	if after, _ := f.store.count(); after != before+1 {
		tb.Fatalf("%d certificates, want 1: %s", after-before, f.store.lastReason())
	}
	return f.store.rows[before]
}

// identity is a certificate of the phone, whose key is phoneKey.
func identity(tb testing.TB, f *fixture) *x509.Certificate {
	tb.Helper()
	return must(x509.ParseCertificate(newPhone(f, f.mint(tb)).issues(tb, f).DER))
}

// impostor has everything of c but the signature, and key for its own.
func impostor(c *x509.Certificate, key crypto.Signer) *x509.Certificate {
	template := *c
	template.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	issuer := &x509.Certificate{RawSubject: c.RawIssuer, Subject: c.Issuer, SubjectKeyId: c.AuthorityKeyId, PublicKey: key.Public()}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, &template, issuer, key.Public(), key))))
}

// refusedWith expects a refusal that issues nothing and leaves one audit row.
func (p *phone) refusedWith(tb testing.TB, f *fixture, want scep.FailInfo) {
	tb.Helper()
	issued, refused := f.store.count()
	reply := p.send(tb, f)
	if reply.PKIStatus != scep.FAILURE || reply.FailInfo != want {
		tb.Errorf("status %q, failInfo %q, want FAILURE %q (audit: %s)", string(reply.PKIStatus), string(reply.FailInfo), string(want), f.store.lastReason())
	}
	nowIssued, nowRefused := f.store.count()
	if nowIssued != issued || nowRefused != refused+1 {
		tb.Errorf("issued %d, refused %d, want 0 and 1", nowIssued-issued, nowRefused-refused)
	}
}
