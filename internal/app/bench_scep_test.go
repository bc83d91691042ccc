//go:build unix

package app

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"sallyport/certs"
	"sallyport/enroll/directory"
)

// benchKeys are the keys of phones, and what they sign their requests with.
var benchKeys = sync.OnceValue(func() []benchKey {
	keys := make([]benchKey, benchRound)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "phone"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24)}
		der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
		if err != nil {
			panic(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		keys[i] = benchKey{key, cert}
	}
	return keys
})

type benchKey struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// issued puts rows of certificates, with the challenges that brought them, beside
// the server's own: random ones, as long as real ones.
func issued(b *testing.B, a *App, n int) {
	b.Helper()
	db, err := sql.Open("sqlite", filepath.Join(a.dir, DatabaseFile)+"?_pragma=busy_timeout(60000)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO `
	for _, statement := range []string{
		`certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at, profile, issuer, key_hash)
			SELECT lower(hex(randomblob(32))), randomblob(800), lower(hex(randomblob(16))), 'mail-identity', lower(hex(randomblob(16))), '', lower(hex(randomblob(16))),
				1790000000000000 + i, 1820000000000000 + i, 1790000000000000 + i, 0, 'profile', 'issuer', lower(hex(randomblob(32))) FROM n`,
		`certs_challenges (hash, rule, entitlement, user_id, invitation_id, enrollment_id, created_at, expires_at, void_at, claimed_at,
				transaction_id, key_hash, serial, not_before, not_after, certificate_sha256, profile)
			SELECT randomblob(32), 'mail-identity', hex(randomblob(100)), lower(hex(randomblob(16))), '', lower(hex(randomblob(16))), 1, 2, 0, 1,
				hex(randomblob(20)), randomblob(32), randomblob(16), 1, 2, lower(hex(randomblob(32))), 'profile' FROM n`,
	} {
		if _, err := db.ExecContext(b.Context(), many+statement, n); err != nil {
			b.Fatal(err)
		}
	}
}

// forgetKeys makes the keys of the last round new ones to the server: each real
// request comes with a key that nobody has, and making one takes 50 times as long as all this.
func forgetKeys(b *testing.B, a *App) {
	b.Helper()
	db, err := sql.Open("sqlite", filepath.Join(a.dir, DatabaseFile)+"?_pragma=busy_timeout(60000)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(b.Context(), `UPDATE certs_certificates SET key_hash = lower(hex(randomblob(32))) WHERE user_id = (SELECT id FROM directory_users)`)
	if err != nil {
		b.Fatal(err)
	}
}

// message is a PKCSReq as a phone sends it: AES and SHA-256.
func (k benchKey) message(b *testing.B, challenge string, ra *x509.Certificate, transaction string) []byte {
	b.Helper()
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}}, ChallengePassword: challenge,
	}, k.key)
	if err != nil {
		b.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		b.Fatal(err)
	}
	m, err := scep.NewCSRRequest(csr, &scep.PKIMessage{
		MessageType: scep.PKCSReq, TransactionID: scep.TransactionID(transaction), Recipients: []*x509.Certificate{ra}, SignerKey: k.key, SignerCert: k.cert,
	})
	if err != nil {
		b.Fatal(err)
	}
	return m.Raw
}

// BenchmarkPKIOperation is what a certificate costs, from the request of a phone
// over HTTP to its row in the database and the answer, beside one bare private
// operation with the RA's kind of key in the same run. Two of these it cannot do
// without: one opens the envelope, one signs the answer.
func BenchmarkPKIOperation(b *testing.B) {
	cipher := pkcs7.ContentEncryptionAlgorithm
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	defer func() {
		pkcs7.ContentEncryptionAlgorithm = cipher
		pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1)
	}()
	for _, records := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			a := prepared(b)
			issued(b, a, records)
			user, err := a.rooms.users.Get(b.Context(), "alice@example.test")
			if err != nil {
				b.Fatal(err)
			}
			ra := a.rooms.authority.RA()
			round := 0
			ours := func(clock *stopwatch) {
				round++
				forgetKeys(b, a)
				exchanges := make([]exchange, benchRound)
				for i, k := range benchKeys() {
					message := k.message(b, benchChallenge(b, a, user), ra.Certificate, fmt.Sprint("transaction-", round, "-", i))
					exchanges[i] = newExchange(message)
				}
				runtime.GC() // of what the phones left behind
				clock.time(benchRound, func() {
					for _, e := range exchanges {
						a.fronts[0].server.Handler.ServeHTTP(e.w, e.r)
					}
				})
				for _, e := range exchanges {
					e.succeeded(b)
				}
			}
			digest := sha256.Sum256([]byte("what a CertRep signs"))
			bare := func(clock *stopwatch) {
				clock.time(benchRound, func() {
					for range benchRound {
						if _, err := ra.Key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			(&turns{b: b}).measure(b, ours, bare, nil)
		})
	}
}

func benchChallenge(b *testing.B, a *App, user directory.User) string {
	b.Helper()
	challenge, err := a.rooms.issuer.Mint(b.Context(), certs.Grant{
		Rule: certs.RuleMailIdentity, CommonName: user.UPN, UPN: user.UPN, Mail: user.Email, UserID: string(user.ID), RequestedBy: "ann",
	}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	return challenge.Reveal()
}

// exchange is a request as it comes off the wire, and where its answer goes: what a
// phone does to make the one and to read the other is not the server's to count.
type exchange struct {
	w *httptest.ResponseRecorder
	r *http.Request
}

func newExchange(message []byte) exchange {
	e := exchange{httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/scep?operation=PKIOperation", bytes.NewReader(message))}
	e.w.Body.Grow(4 << 10)
	return e
}

// succeeded tells a success by its size: a refusal carries no certificate.
func (e exchange) succeeded(b *testing.B) {
	b.Helper()
	if e.w.Code != http.StatusOK || !strings.HasPrefix(e.w.Header().Get("Content-Type"), "application/x-pki-message") || e.w.Body.Len() < 2500 {
		b.Fatalf("status %d, %d bytes", e.w.Code, e.w.Body.Len())
	}
}
