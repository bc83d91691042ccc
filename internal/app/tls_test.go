package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var clock = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// pair writes a certificate for host, signed by itself, and its key.
func pair(t *testing.T, dir, host string, from, until time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(from.Unix()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestGivenCertificateIsReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := pair(t, dir, "mdm.example.com", clock, clock.AddDate(0, 3, 0))
	s := &serverTLS{renew: fileTLS(certFile, keyFile, func() time.Time { return clock.AddDate(0, 1, 0) })}
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := s.current.Load().Leaf
	if err := checkHost(*s.current.Load(), "https://mdm.example.com:8443"); err != nil {
		t.Error(err)
	}
	if err := checkHost(*s.current.Load(), "https://other.example.com"); !errors.Is(err, ErrCertificate) {
		t.Errorf("another host: got %v, want ErrCertificate", err)
	}

	pair(t, dir, "mdm.example.com", clock.AddDate(0, 0, 7), clock.AddDate(0, 4, 0))
	soon := time.Now().Add(time.Minute) // so that the files differ in time whatever the file system
	for _, file := range []string{certFile, keyFile} {
		if err := os.Chtimes(file, soon, soon); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.current.Load().Leaf; got.Equal(first) {
		t.Error("the old certificate is still served")
	}

	// A renewal that went wrong leaves what is served alone.
	second := s.current.Load().Leaf
	if err := os.WriteFile(certFile, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(t.Context()); !errors.Is(err, ErrCertificate) {
		t.Errorf("torn file: got %v, want ErrCertificate", err)
	}
	if got, err := s.config().GetCertificate(nil); err != nil || !got.Leaf.Equal(second) {
		t.Errorf("got %v, want the certificate from before", err)
	}
}

func TestLoadPairRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		from, until time.Time
		want        string
	}{
		{"expired", clock.AddDate(-1, 0, 0), clock.AddDate(0, 0, -1), "expired at"},
		{"not yet valid", clock.AddDate(0, 0, 1), clock.AddDate(1, 0, 0), "not valid before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			certFile, keyFile := pair(t, t.TempDir(), "h", tt.from, tt.until)
			_, err := loadPair("tls_cert", certFile, keyFile, clock)
			if !errors.Is(err, ErrCertificate) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	dirA, dirB := t.TempDir(), t.TempDir()
	certA, _ := pair(t, dirA, "h", clock, clock.AddDate(1, 0, 0))
	_, keyB := pair(t, dirB, "h", clock, clock.AddDate(1, 0, 0))
	if _, err := loadPair("tls_cert", certA, keyB, clock); !errors.Is(err, ErrCertificate) {
		t.Errorf("foreign key: got %v, want ErrCertificate", err)
	}
	if _, err := loadPair("tls_cert", filepath.Join(dirA, "absent"), keyB, clock); !errors.Is(err, ErrCertificate) {
		t.Errorf("absent: got %v, want ErrCertificate", err)
	}
}

func TestGivenSignerSigns(t *testing.T) {
	t.Parallel()
	certFile, keyFile := pair(t, t.TempDir(), "signer", clock, clock.AddDate(1, 0, 0))
	id, err := loadSigner(certFile, keyFile, clock)
	if err != nil || id.Certificate.Subject.CommonName != "signer" || id.Key == nil {
		t.Errorf("got %+v, %v", id.Certificate, err)
	}
}

// TestChainIsVerifiedOnce: signing itself looks at the order of the chain only,
// so a certificate of the right name and the wrong key must not get that far.
func TestChainIsVerifiedOnce(t *testing.T) {
	t.Parallel()
	certFile, keyFile := pair(t, t.TempDir(), "signer", clock, clock.AddDate(1, 0, 0))
	foreign, _ := pair(t, t.TempDir(), "signer", clock, clock.AddDate(1, 0, 0))
	own, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(certFile, append(own, other...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSigner(certFile, keyFile, clock); !errors.Is(err, ErrCertificate) || !strings.Contains(err.Error(), "did not issue") {
		t.Errorf("got %v, want ErrCertificate that names the broken chain", err)
	}
}
