package scep

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/smallstep/scep"

	"sallyport/internal/bounded"
)

// challenged is a request, validly signed, whose attributes are these.
func challenged(p *phone, attributes ...[]byte) []byte {
	var csr struct {
		TBS struct {
			Version    int
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Attributes []asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	must(asn1.Unmarshal(must(x509.CreateCertificateRequest(rand.Reader, &p.template, p.csrKey)), &csr))
	for _, a := range attributes {
		csr.TBS.Attributes = append(csr.TBS.Attributes, asn1.RawValue{FullBytes: a})
	}
	digest := sha256.Sum256(must(asn1.Marshal(csr.TBS)))
	signature := must(p.csrKey.Sign(rand.Reader, digest[:], crypto.SHA256))
	csr.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return must(asn1.Marshal(csr))
}

// password is a challengePassword attribute (RFC 2985, section 5.4.1) with these values.
func password(values ...asn1.RawValue) []byte {
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	for _, v := range values {
		set.Bytes = append(set.Bytes, must(asn1.Marshal(v))...)
	}
	return must(asn1.Marshal(struct {
		ID     asn1.ObjectIdentifier
		Values asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, set}))
}

func text(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }

func TestChallenges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(good string) [][]byte
		want scep.FailInfo // none: issued
	}{
		{"PrintableString", func(good string) [][]byte { return [][]byte{password(text(asn1.TagPrintableString, good))} }, ""},
		{"UTF8String", func(good string) [][]byte { return [][]byte{password(text(asn1.TagUTF8String, good))} }, ""},
		{"IA5String", func(good string) [][]byte { return [][]byte{password(text(asn1.TagIA5String, good))} }, ""},
		{"missing", func(string) [][]byte { return nil }, scep.BadRequest},
		{"empty", func(string) [][]byte { return [][]byte{password(text(asn1.TagUTF8String, ""))} }, scep.BadRequest},
		{"no value", func(string) [][]byte { return [][]byte{password()} }, scep.BadMessageCheck},
		{"NUL", func(string) [][]byte { return [][]byte{password(text(asn1.TagUTF8String, "\x00"))} }, scep.BadRequest},
		{"NUL at its end", func(good string) [][]byte { return [][]byte{password(text(asn1.TagUTF8String, good+"\x00"))} }, scep.BadRequest},
		{"blank at its end", func(good string) [][]byte { return [][]byte{password(text(asn1.TagUTF8String, good+" "))} }, scep.BadRequest},
		{"upper case", func(good string) [][]byte {
			return [][]byte{password(text(asn1.TagUTF8String, strings.ToUpper(good)+"A"))}
		}, scep.BadRequest},
		{"54 KB", func(string) [][]byte {
			return [][]byte{password(text(asn1.TagUTF8String, strings.Repeat("x", 54<<10)))}
		}, scep.BadRequest},
		{"OCTET STRING", func(good string) [][]byte { return [][]byte{password(text(asn1.TagOctetString, good))} }, scep.BadMessageCheck},
		{"INTEGER", func(good string) [][]byte { return [][]byte{password(text(asn1.TagInteger, good))} }, scep.BadMessageCheck},
		{"BMPString", func(good string) [][]byte { return [][]byte{password(text(asn1.TagBMPString, good))} }, scep.BadRequest},
		{"no UTF-8", func(good string) [][]byte { return [][]byte{password(text(asn1.TagUTF8String, good+"\xff"))} }, scep.BadMessageCheck},
		{"SEQUENCE", func(good string) [][]byte {
			return [][]byte{password(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: must(asn1.Marshal(good))})}
		}, scep.BadMessageCheck},
		{"two values, the second good", func(good string) [][]byte {
			return [][]byte{password(text(asn1.TagUTF8String, "guess"), text(asn1.TagUTF8String, good))}
		}, scep.BadRequest},
		{"two attributes, the first good", func(good string) [][]byte {
			return [][]byte{password(text(asn1.TagUTF8String, good)), password(text(asn1.TagUTF8String, "guess"))}
		}, scep.BadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := newPhone(f, "")
			p.csr = challenged(p, tt.make(f.mint(t))...)
			if tt.want == "" {
				p.issues(t, f)
				return
			}
			p.refusedWith(t, f, tt.want)
			if !f.store.challengesUntouched() {
				t.Error("the challenge was used up")
			}
		})
	}
	t.Run("1 MB", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		p := newPhone(f, "")
		p.csr = challenged(p, password(text(asn1.TagUTF8String, strings.Repeat("x", 1<<20))))
		if _, body, err := f.Do(t.Context(), "PKIOperation", p.message(t)); !errors.Is(err, ErrBadRequest) || !errors.Is(err, bounded.ErrTooLarge) || body != nil {
			t.Errorf("got %v", err)
		}
		if issued, refused := f.store.count(); issued != 0 || refused != 1 {
			t.Errorf("%d issued, %d refused", issued, refused)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	p := newPhone(newFixture(f), "")
	for _, value := range []asn1.RawValue{text(asn1.TagUTF8String, "good"), text(asn1.TagBMPString, "good"), text(asn1.TagInteger, "7")} {
		f.Add(challenged(p, password(value)))
	}
	f.Add(challenged(p))
	f.Add(hugeRequest(p))
	f.Add([]byte{0x30, 0x81})
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := parseRequest(der)
		if err == nil && r.key == nil {
			t.Fatal("a request without a key")
		}
		if err != nil && r != (request{}) {
			t.Fatal("half a request")
		}
	})
}
