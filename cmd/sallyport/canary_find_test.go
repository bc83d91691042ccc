package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// canaries are secrets whose values are known, in every form in which they may
// come to light.
type canaries struct {
	names map[string]string // by form
	forms [][]byte
}

// shortest is the length below which a value is found by chance.
const shortest = 8

// add takes a secret and its forms: as it is, in hex, in base64 of both alphabets at
// each of the three places where a value may begin in a longer text, and in UTF-16,
// as PKCS#12 and Windows have it.
func (c *canaries) add(t testing.TB, name string, value []byte) {
	t.Helper()
	if len(value) < shortest {
		t.Fatalf("canary %s has %d bytes: it would be found by chance", name, len(value))
	}
	forms := [][]byte{value, []byte(hex.EncodeToString(value)), []byte(strings.ToUpper(hex.EncodeToString(value)))}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			// Of the first and the last group only what this value alone decides.
			text := alphabet.EncodeToString(append(make([]byte, before), value...))
			begin := []int{0, 2, 3}[before]
			end := len(text) - []int{0, 1, 1}[(before+len(value))%3]
			forms = append(forms, []byte(text[begin:end]))
		}
	}
	if !bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		var wide []byte
		for _, unit := range utf16.Encode([]rune(string(value))) {
			wide = append(wide, byte(unit>>8), byte(unit))
		}
		forms = append(forms, wide)
	}
	if c.names == nil {
		c.names = map[string]string{}
	}
	for _, form := range forms {
		if _, known := c.names[string(form)]; !known {
			c.names[string(form)] = name
			c.forms = append(c.forms, form)
		}
	}
}

// addKey takes what makes a private key private: whatever form the key is written
// in, DER or PEM, of PKCS#1, SEC 1 or PKCS#8, these numbers stand in it.
func (c *canaries) addKey(t testing.TB, name string, key any) {
	t.Helper()
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		c.add(t, name, d)
	case *rsa.PrivateKey:
		c.add(t, name+" (exponent)", key.D.Bytes())
		for _, prime := range key.Primes {
			c.add(t, name+" (prime)", prime.Bytes())
		}
	default:
		t.Fatalf("%s is a %T", name, key)
	}
}

// addDER takes a private key as PKCS#8.
func (c *canaries) addDER(t testing.TB, name string, der []byte) {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c.addKey(t, name, key)
}

// find names what is in content. It looks a second time without what may be written
// into the middle of a value: line ends, as in PEM, also escaped as in JSON; and
// blanks and colons, as dumps of bytes have them.
func (c *canaries) find(content []byte) []string {
	var found []string
	bare := content
	for _, filler := range []string{`\r\n`, `\n`, "\r", "\n", " ", "\t", ":"} {
		bare = bytes.ReplaceAll(bare, []byte(filler), nil)
	}
	for _, form := range c.forms {
		if name := c.names[string(form)]; bytes.Contains(content, form) || bytes.Contains(bare, form) {
			if !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// TestCanariesAreFound plants each kind of canary in each form: a search that finds
// nothing must have been able to.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text, binary := []byte("canary-in-a-coal-mine"), bytes.Repeat([]byte{0xfb, 0xff, 0x00, 0x10}, 9)
	var c canaries
	c.add(t, "text", text)
	c.add(t, "binary", binary)
	c.addKey(t, "EC", ec)
	c.addKey(t, "RSA", rsaKey)

	planted := map[string][]string{}
	plant := func(name string, content []byte) { planted[string(content)] = append(planted[string(content)], name) }
	for name, value := range map[string][]byte{"text": text, "binary": binary} {
		for before := range 4 {
			around := append(append(bytes.Repeat([]byte{'z'}, before), value...), "zzzzz"...)
			plant(name, around)
			plant(name, []byte(hex.EncodeToString(around)))
			plant(name, []byte(fmt.Sprintf("% X", around)))
			plant(name, []byte(base64.StdEncoding.EncodeToString(around)))
			plant(name, []byte(base64.URLEncoding.EncodeToString(around)))
			plant(name, pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: around}))
			inJSON, _ := json.Marshal(map[string]any{"bytes": around, "pem": string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: around}))})
			plant(name, inJSON)
		}
		plant(name, []byte(base64.RawStdEncoding.EncodeToString(value)))
	}
	var escaped bytes.Buffer
	if err := xml.EscapeText(&escaped, text); err != nil {
		t.Fatal(err)
	}
	plant("text", escaped.Bytes())
	for name, key := range map[string]any{"EC": ec, "RSA (prime)": rsaKey, "RSA (exponent)": rsaKey} {
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		own := pkcs8
		if key, ok := key.(*ecdsa.PrivateKey); ok {
			if own, err = x509.MarshalECPrivateKey(key); err != nil {
				t.Fatal(err)
			}
		} else {
			own = x509.MarshalPKCS1PrivateKey(rsaKey)
		}
		for _, der := range [][]byte{pkcs8, own} {
			plant(name, der)
			plant(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
			plant(name, []byte(hex.EncodeToString(der)))
		}
	}
	for content, names := range planted {
		found := c.find([]byte("before " + content + " after"))
		for _, name := range names {
			if !slices.Contains(found, name) {
				t.Errorf("%s was not found in %.200q", name, content)
			}
		}
	}
	if found := c.find([]byte("nothing of the kind, but canary-in-a-coal-min and " + hex.EncodeToString(text[1:]))); len(found) != 0 {
		t.Errorf("found %v where there is none", found)
	}
}
