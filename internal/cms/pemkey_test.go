package cms

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
)

func TestPrivateKey(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"PRIVATE KEY": pkcs8, "EC PRIVATE KEY": sec1, "RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(big)} {
		if key, err := PrivateKey(&pem.Block{Type: name, Bytes: der}); err != nil || key == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tt := range []struct {
		block pem.Block
		want  error
	}{
		{pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: pkcs8}, ErrKeyLocked},
		{pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-256-CBC,00"}, Bytes: sec1}, ErrKeyLocked},
		{pem.Block{Type: "CERTIFICATE", Bytes: sec1}, ErrNoKey},
		{pem.Block{Type: "PRIVATE KEY", Bytes: sec1[:20]}, nil},
	} {
		if _, err := PrivateKey(&tt.block); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.block.Type, err, tt.want)
		}
	}
}
