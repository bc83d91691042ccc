package main

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/refusal"
)

// makeP12 is the script command `makep12 FILE MAIL PASSWORD signing|encryption|both [expired]`.
func makeP12(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: makep12 FILE MAIL PASSWORD signing|encryption|both [expired]")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	usage := map[string]x509.KeyUsage{
		"signing": x509.KeyUsageDigitalSignature, "encryption": x509.KeyUsageKeyAgreement,
		"both": x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
	}[args[3]]
	until := time.Now().AddDate(1, 0, 0)
	if len(args) > 4 {
		until = time.Now().AddDate(-1, 0, 0)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[1]}, EmailAddresses: []string{args[1]},
		NotBefore: until.AddDate(-2, 0, 0), NotAfter: until, KeyUsage: usage, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	cert, err := x509.ParseCertificate(der)
	ts.Check(err)
	data, err := pkcs12.Modern2023.Encode(key, cert, nil, args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// makeZip is the script command `makezip FILE DIR`.
func makeZip(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	ts.Check(archive.AddFS(os.DirFS(ts.MkAbs(args[1]))))
	ts.Check(archive.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// openP12 is the script command `openp12 FILE PASSWORD`: each key of a PKCS#12 file, or
// of a zip file of them.
func openP12(ts *testscript.TestScript, _ bool, args []string) {
	open := func(data []byte) {
		_, _, _, err := pkcs12.DecodeChain(data, args[1])
		ts.Check(err)
	}
	data := []byte(ts.ReadFile(args[0]))
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		open(data)
		return
	}
	for _, f := range archive.File {
		r, err := f.Open()
		ts.Check(err)
		data, err := io.ReadAll(r)
		ts.Check(err)
		open(data)
	}
}

func TestReadKeyList(t *testing.T) {
	t.Parallel()
	rows, err := readKeyList([]byte("\uFEFFfile,Password, MAIL\r\na.p12, secret ,alice@example.test\r\n\"sub/b,c.p12\",\"x\"\"y\",bob@example.test\r\n"))
	if err != nil || len(rows) != 2 || rows[0] != (keyRow{line: 2, mail: "alice@example.test", file: "a.p12", password: " secret "}) || rows[1] != (keyRow{line: 3, mail: "bob@example.test", file: "sub/b,c.p12", password: `x"y`}) {
		t.Fatalf("got %+v, %v", rows, err)
	}
	rows, err = readKeyList([]byte("mail,file,former,password\nalice@example.test,a.p12, alice.maiden@example.test ,x\nbob@example.test,b.p12,,y\n"))
	if err != nil || len(rows) != 2 || rows[0].former != "alice.maiden@example.test" || rows[0].password != "x" || rows[1].former != "" {
		t.Fatalf("got %+v, %v", rows, err)
	}
	for _, bad := range []string{"", "mail,file\n", "mail,file,former\n", "mail,file,password,former,former\n", "mail;file;password\n", "mail,file,password,user\n", "mail,mail,file\n", "mail,file,password\na,b\n", "\xff\xfem\x00", "mail,file,password\n\"a,b,c\n"} {
		if _, err := readKeyList([]byte(bad)); !errors.Is(err, errKeyFile) || refusal.All(err)[0].Remedy == "" {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func FuzzKeyList(f *testing.F) {
	f.Add([]byte("\uFEFFmail,file,password\r\na,b,c\r\n"))
	f.Add([]byte("mail,file,password\n\"a\nb\",c,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readKeyList(data)
		if err != nil && (!errors.Is(err, errKeyFile) || rows != nil) {
			t.Fatalf("got %v, %v", rows, err)
		}
		for _, r := range rows {
			if r.line < 2 {
				t.Fatalf("got %+v", r)
			}
		}
	})
}

// archived is a zip file with these entries.
func archived(t testing.TB, entries map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, data := range entries {
		entry, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestKeySourceRefuses: nothing outside is read, and nothing that is too much.
func TestKeySourceRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside := filepath.Join(dir, "keys")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(inside, "sub"), 0o700),
		os.WriteFile(filepath.Join(dir, "outside.p12"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(inside, "sub", "a.p12"), []byte("a"), 0o600),
		os.WriteFile(filepath.Join(inside, "large.p12"), make([]byte, certs.MaxPKCS12+1), 0o600),
		os.Symlink("../outside.p12", filepath.Join(inside, "link.p12")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	archive := filepath.Join(dir, "keys.zip")
	packed := archived(t, map[string][]byte{
		"sub/a.p12": []byte("a"), "large.p12": []byte(strings.Repeat("x", certs.MaxPKCS12+1)), "bomb.p12": make([]byte, certs.MaxPKCS12), "../outside.p12": []byte("secret"),
	})
	if err := os.WriteFile(archive, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{inside, archive} {
		source, err := openKeySource(from)
		if err != nil {
			t.Fatal(err)
		}
		if data, refused := source.read("sub/a.p12"); refused != nil || string(data) != "a" {
			t.Errorf("%s: got %q, %v", from, data, refused)
		}
		for _, name := range []string{"", "../outside.p12", "/etc/passwd", "sub/../sub/a.p12", "./sub/a.p12", `sub\a.p12`, "sub", "link.p12", "large.p12", "bomb.p12", "none.p12", "sub/a.p12\x00"} {
			if data, refused := source.read(name); refused == nil || refused.Remedy == "" || data != nil {
				t.Errorf("%s: %q: got %q, %v", from, name, data, refused)
			}
		}
		if err := source.close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzKeyArchive(f *testing.F) {
	f.Add(archived(f, map[string][]byte{"a.p12": []byte("a"), "sub/b.p12": make([]byte, 5000)}), "a.p12")
	f.Add([]byte("PK\x05\x06"), "../a")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		archive, err := readArchive(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		read, refused := keySource{files: archive}.read(name)
		if refused == nil && (len(read) > certs.MaxPKCS12 || !fs.ValidPath(name)) {
			t.Fatalf("read %d bytes of %q", len(read), name)
		}
	})
}
