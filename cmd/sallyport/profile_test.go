package main

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// makeCert is the script command `makecert NAME rsa|p256 [valid|expired] [ISSUER]`: it
// writes NAME.crt and NAME.key; without an issuer the certificate signs itself.
// NAME.crt holds the issuer's after its own.
func makeCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: makecert NAME rsa|p256 [valid|expired] [ISSUER]")
	}
	var key crypto.Signer
	var err error
	if args[1] == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ts.Check(err)
	until := time.Now().Add(time.Hour)
	if len(args) > 2 && args[2] == "expired" {
		until = time.Now().Add(-time.Hour)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[0]}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true,
	}
	issuer, issuerKey, chain := certificate, key, []byte(nil)
	if len(args) > 3 {
		chain = []byte(ts.ReadFile(args[3] + ".crt"))
		certs, err := certificates(ts.MkAbs(args[3] + ".crt"))
		ts.Check(err)
		issuer = certs[0]
		issuerKey, err = privateKey(ts.MkAbs(args[3] + ".key"))
		ts.Check(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, key.Public(), issuerKey)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), chain...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".crt"), text, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// fill is the script command `fill FILE BYTES`: every @ in the file becomes
// that many letters.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(ts.ReadFile(args[0]), "@", strings.Repeat("a", n))), 0o600))
}

// tamper is the script command `tamper FILE OLD NEW`, of the same length.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	if !bytes.Contains(data, []byte(args[1])) || len(args[1]) != len(args[2]) {
		ts.Fatalf("%s does not hold %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.ReplaceAll(data, []byte(args[1]), []byte(args[2])), 0o600))
}

// TestUserDocumentIsComplete: a user in a file can say all that the directory
// and a phone know.
func TestUserDocumentIsComplete(t *testing.T) {
	for _, test := range []struct{ form, of any }{
		{userDocument{}, directory.User{}},
		{phoneDocument{}, mdm.DeviceFacts{}},
	} {
		keys := map[string]bool{}
		form := reflect.TypeOf(test.form)
		for i := range form.NumField() {
			keys[form.Field(i).Tag.Get("yaml")] = true
		}
		of := reflect.TypeOf(test.of)
		for i := range of.NumField() {
			key, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			switch key {
			case "created_at", "updated_at", "at", "build", "eas_device_id", "supervised", "awaiting_configuration": // nothing that a template can name
				continue
			}
			if !keys[key] {
				t.Errorf("%s has no key %s", form.Name(), key)
			}
		}
	}
}

// TestRootCertificates: a signer in the file of --ca does not vouch for itself.
func TestRootCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, issuer *x509.Certificate) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, c, cmp.Or(issuer, c), key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := issue("root", nil)
	signer := issue("signer", root)
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(certs ...*x509.Certificate) {
		var text []byte
		for _, c := range certs {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(signer)
	if _, err := rootCertificates(file); err == nil || !strings.Contains(err.Error(), "holds no root certificate: CN=signer was issued by CN=root") {
		t.Errorf("got %v", err)
	}
	write(signer, root)
	if got, err := rootCertificates(file); err != nil || len(got) != 1 || !got[0].Equal(root) {
		t.Errorf("got %v, %v, want the root alone", got, err)
	}
}
