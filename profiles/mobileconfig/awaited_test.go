package mobileconfig

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

// waiting is a profile whose signing identity comes with the delivery.
func waiting(keyID string) Profile {
	p := mail("Mail")
	e := p.Payloads[1].(EAS)
	e.SMIME = SMIME{SigningEnabled: true, SigningCertificateUUID: UUID("test", "smime.sign")}
	p.Payloads[1] = e
	awaited := AwaitedPKCS12{Common: common("smime.sign"), FileName: "signing.p12", KeyID: keyID}
	awaited.DisplayName = "S/MIME"
	p.Payloads = append([]Payload{awaited}, p.Payloads...)
	return p
}

// TestAwaitedKeyIsNeverSent: neither in the clear nor, without its file, encrypted.
func TestAwaitedKeyIsNeverSent(t *testing.T) {
	cert, key := identity(t)
	p := waiting("key-1")
	if data, err := p.Encode(); !errors.Is(err, ErrSecret) || data != nil {
		t.Errorf("in the clear: got %d bytes and %v, want ErrSecret", len(data), err)
	}
	if data, err := Encrypt(p, cert); !errors.Is(err, ErrAwaited) || data != nil {
		t.Errorf("without its file: got %d bytes and %v, want ErrAwaited", len(data), err)
	}
	filled := waiting("key-1")
	filled.Payloads[0] = filled.Payloads[0].(AwaitedPKCS12).With(p12, secret.New(p12Canary))
	if data, err := filled.Encode(); !errors.Is(err, ErrSecret) || data != nil {
		t.Errorf("with its file, in the clear: got %d bytes and %v, want ErrSecret", len(data), err)
	}
	if filled.TopUUID() != p.TopUUID() {
		t.Error("the delivery has another PayloadUUID than what was planned")
	}
	sealed, err := Encrypt(filled, cert)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Inspect(sealed, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	payload := opened.Dict["PayloadContent"].([]any)[0].(map[string]any)
	if !bytes.Equal(payload["PayloadContent"].([]byte), p12) || payload["Password"] != p12Canary || opened.Dict["PayloadUUID"] != p.TopUUID() {
		t.Errorf("the phone reads %v", payload)
	}
}

// TestAwaitedKeyIsShown: as the delivered one is, so that both compare as equal.
func TestAwaitedKeyIsShown(t *testing.T) {
	p, filled := waiting("key-1"), waiting("key-1")
	filled.Payloads[0] = filled.Payloads[0].(AwaitedPKCS12).With(p12, secret.New(p12Canary))
	before, err := p.EncodeForInspection()
	if err != nil {
		t.Fatal(err)
	}
	after, err := filled.EncodeForInspection()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("got\n%s\nwant\n%s", before, after)
	}
	if strings.Contains(string(after), p12Canary) {
		t.Error("the form for inspection shows the password")
	}
}

// TestAnotherKeyIsAnotherRevision: under the same payload UUID.
func TestAnotherKeyIsAnotherRevision(t *testing.T) {
	one, other, none := waiting("key-1"), waiting("key-2"), waiting("")
	if one.TopUUID() == other.TopUUID() || one.TopUUID() == none.TopUUID() {
		t.Error("a renewed key leaves the profile's UUID as it was")
	}
	if one.Payloads[0].Header().UUID != other.Payloads[0].Header().UUID {
		t.Error("a renewed key has another payload UUID")
	}
	if err := none.Validate(); err != nil {
		t.Errorf("a key that is not there yet: %v", err)
	}
	no := one.Payloads[0].(AwaitedPKCS12)
	no.KeyID = "a\x00b"
	one.Payloads[0] = no
	if err := one.Validate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("a control character in the ID: %v", err)
	}
}
