package scep

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-kit/kit/log"
	scepclient "github.com/micromdm/scep/v2/client"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"sallyport/internal/bounded"
	"sallyport/internal/cms/openssltest"
)

// serve puts the service behind HTTP the way that clients expect it.
func serve(t *testing.T, f *fixture) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message, err := bounded.Read(r.Body, bounded.MaxCMS)
		if r.Method == http.MethodGet {
			message, _ = base64.URLEncoding.DecodeString(r.URL.Query().Get("message"))
		}
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		contentType, body, err := f.Do(r.Context(), r.URL.Query().Get("operation"), message)
		switch {
		case errors.Is(err, ErrBadRequest):
			http.Error(w, "bad request", http.StatusBadRequest)
		case err != nil:
			http.Error(w, "later", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestMicromdmClient enrols with micromdm/scep's own client. It closes its
// requests with the library's default, single DES, and signs with SHA-1: what
// Legacy is for.
func TestMicromdmClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Legacy = true
	ctx := context.Background()
	client, err := scepclient.New(serve(t, f), log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if caps, err := client.GetCACaps(ctx); err != nil || !bytes.Contains(caps, []byte("AES")) || !client.Supports("SHA-256") {
		t.Fatalf("GetCACaps = %q, %v", caps, err)
	}
	answer, n, err := client.GetCACert(ctx, "")
	if err != nil || n < 2 {
		t.Fatalf("GetCACert: %d certificates, %v", n, err)
	}
	list := must(scep.CACerts(answer))
	csr := must(x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: f.mint(t)}, phoneKey()))
	template := &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: list, SignerKey: phoneKey(), SignerCert: selfSigned(phoneKey())}
	libraryCipher.Lock()
	message, err := scep.NewCSRRequest(must(x509.ParseCertificateRequest(csr)), template,
		scep.WithCertsSelector(scep.EnciphermentCertsSelector()))
	libraryCipher.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	answer, err = client.PKIOperation(ctx, message.Raw)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := scep.ParsePKIMessage(answer, scep.WithCACerts(list))
	if err != nil || reply.PKIStatus != scep.SUCCESS {
		t.Fatalf("reply: %v (%s)", err, f.store.lastReason())
	}
	if err := reply.DecryptPKIEnvelope(template.SignerCert, phoneKey()); err != nil {
		t.Fatal(err)
	}
	if err := reply.Certificate.CheckSignatureFrom(f.Authority.Issuing()); err != nil {
		t.Error(err)
	}
}

// TestOpenSSL has OpenSSL make the envelope (also with 3DES, which no library
// here writes) and verify and open the reply.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	box := openssltest.Open(t)
	run := func(args ...string) {
		t.Helper()
		if out, err := box.Command(args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	read := func(path string) []byte { return must(os.ReadFile(path)) }
	dir := t.TempDir()
	for _, cipher := range []string{"-aes-128-cbc", "-aes-256-cbc", "-des3"} {
		f := newFixture(t)
		p := newPhone(f, "")
		csr := must(x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: f.mint(t)}, phoneKey()))
		envelope := filepath.Join(dir, "envelope")
		run("cms", "-encrypt", "-binary", cipher, "-in", box.File("csr", csr), "-outform", "DER", "-out", envelope, box.Certs("ra.pem", p.recipient))
		p.envelope = read(envelope)
		_, body, err := f.Do(t.Context(), "PKIOperation", p.message(t))
		if err != nil {
			t.Fatal(err)
		}
		// What GetCACert gives: the reply itself carries the RA's certificate alone.
		cas := box.Certs("ca.pem", f.Authority.Root(), f.Authority.Issuing())
		content, certs := filepath.Join(dir, "content"), filepath.Join(dir, "certs")
		run("cms", "-verify", "-inform", "DER", "-in", box.File("reply", body), "-CAfile", cas, "-binary", "-out", content)
		key := box.Key("key.pem", phoneKey())
		run("cms", "-decrypt", "-inform", "DER", "-in", content, "-inkey", key, "-recip", box.Certs("phone.pem", p.cert), "-binary", "-out", certs)
		list := must(pkcs7.Parse(read(certs))).Certificates
		if len(list) != 1 || list[0].CheckSignatureFrom(f.Authority.Issuing()) != nil {
			t.Fatalf("%s: %d certificates", cipher, len(list))
		}
		run("verify", "-CAfile", cas, "-purpose", "sslclient", box.Certs("issued.pem", list[0]))

		refused := newPhone(f, "guess")
		if _, body, err = f.Do(t.Context(), "PKIOperation", refused.message(t)); err != nil {
			t.Fatal(err)
		}
		run("cms", "-verify", "-inform", "DER", "-in", box.File("refusal", body), "-CAfile", cas, "-binary", "-out", content)
	}
}
