package templates

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

func TestReadPKCS12(t *testing.T) {
	t.Parallel()
	h := holder{commonName: "alice@corp.test", upn: "alice@example.test", mails: []string{"a@example.test", "b@example.test"}}
	for name, encoder := range map[string]*pkcs12.Encoder{
		"OpenSSL 3": pkcs12.Modern2023, "PBMAC1": pkcs12.Modern2026, "triple DES": pkcs12.LegacyDES, "RC2": pkcs12.LegacyRC2,
		"many iterations": pkcs12.Modern2023.WithIterations(100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Secret{Name: "mail", Kind: SecretPKCS12, Value: secret.New(filePassword), Data: h.file(t, encoder)}
			if err := s.read(noon); err != nil {
				t.Fatal(err)
			}
			if s.Subject != "CN=alice@corp.test" || !slices.Equal(s.UPNs, []string{"alice@example.test", "alice@corp.test"}) ||
				!slices.Equal(s.Mails, h.mails) || !s.NotAfter.Equal(noon.AddDate(1, 0, 0)) {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestReadSecretRefuses(t *testing.T) {
	t.Parallel()
	h := holder{commonName: "Alice", mails: []string{"alice@example.test"}}
	good := h.file(t, pkcs12.Modern)
	key, _ := h.certificate(t)
	_, foreign := h.certificate(t)
	mixed, err := pkcs12.Modern.Encode(key, foreign, nil, filePassword)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pkcs12.Modern.EncodeTrustStore(nil, filePassword)
	if err != nil {
		t.Fatal(err)
	}
	file := func(data []byte) Secret {
		return Secret{Name: "mail", Kind: SecretPKCS12, Value: secret.New(filePassword), Data: data}
	}
	with := func(s Secret, change func(*Secret)) Secret { change(&s); return s }
	tests := []struct {
		name, field, says string
		secret            Secret
	}{
		{"name", "name", "is not a name", with(passwordSecret("x", "x"), func(s *Secret) { s.Name = "Mail Password" })},
		{"kind", "kind", "known words", with(passwordSecret("x", "x"), func(s *Secret) { s.Kind = "file" })},
		{"empty password", "value", "is missing", passwordSecret("x", "")},
		{"two lines", "value", "cannot be used", passwordSecret("x", filePassword+"\n")},
		{"password with a file", "data", "for a password", with(passwordSecret("x", "x"), func(s *Secret) { s.Data = good })},
		{"no file", "data", "is missing", file(nil)},
		{"no password", "value", "is missing", with(file(good), func(s *Secret) { s.Value = secret.Value{} })},
		{"wrong password", "value", "is not the password", with(file(good), func(s *Secret) { s.Value = secret.New(filePassword + "x") })},
		{"no DER", "data", "in DER", file([]byte(filePassword))},
		{"too large", "data", "64 KB", file(append(slices.Clone(good), make([]byte, certs.MaxPKCS12)...))},
		{"no key", "data", "one private key", file(trust)},
		{"another's key", "data", "does not belong", file(mixed)},
		{"expired", "data", "expired on 2026-11-20", file(holder{notAfter: noon.AddDate(0, 0, -1)}.file(t, pkcs12.Modern))},
		{"endless key derivation", "data", "key derivation", file(pkcs12Asking(t, bounded.MaxDerivations+1))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.secret.read(noon)
			list := refusal.All(err)
			if len(list) != 1 || list[0].Field != test.field || !strings.Contains(list[0].Reason, test.says) || list[0].Remedy == "" {
				t.Fatalf("got %v, want %s refused that %q", err, test.field, test.says)
			}
			if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), filePassword) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// pkcs12Asking is a file whose MAC asks for more iterations than it was made with.
func pkcs12Asking(t testing.TB, count int) []byte {
	t.Helper()
	const made = 70_000 // three bytes, as count
	data := holder{}.file(t, pkcs12.Modern.WithIterations(made))
	from, to := []byte{2, 3, 0x01, 0x11, 0x70}, []byte{2, 3, byte(count >> 16), byte(count >> 8), byte(count)}
	changed := []byte(strings.ReplaceAll(string(data), string(from), string(to)))
	if string(changed) == string(data) {
		t.Fatal("found no count to change")
	}
	return changed
}

func FuzzOpenPKCS12(f *testing.F) {
	for _, encoder := range []*pkcs12.Encoder{pkcs12.Modern, pkcs12.LegacyRC2} {
		f.Add(holder{commonName: "x", upn: "a@b.test"}.file(f, encoder))
	}
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := bounded.Derivations(data); n > 10_000 && n <= bounded.MaxDerivations {
			return // takes its time, as it may
		}
		s := Secret{Name: "mail", Kind: SecretPKCS12, Value: secret.New(filePassword), Data: data}
		if err := s.read(noon); err != nil {
			if !errors.Is(err, ErrInvalid) || len(refusal.All(err)) == 0 || strings.Contains(err.Error(), filePassword) {
				t.Errorf("got %v, want a refusal that tells no password", err)
			}
			return
		}
		for _, name := range slices.Concat(s.UPNs, s.Mails, []string{s.Subject}) {
			if refusal.Line(ErrInvalid, "", name, 1024) != nil {
				t.Errorf("got the name %q out of the file", name)
			}
		}
	})
}

// TestIterations: each place that the library reads a count from is seen: those
// of the certificates, of the key and of the MAC.
func TestIterations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		encoder *pkcs12.Encoder
		want    int64
	}{
		"OpenSSL 3":  {pkcs12.Modern2023.WithIterations(3000), 9000},
		"PBMAC1":     {pkcs12.Modern2026.WithIterations(3000), 9000},
		"RC2":        {pkcs12.LegacyRC2.WithIterations(3000), 9000},
		"triple DES": {pkcs12.LegacyDES, 2 * 2048},
	} {
		if got := bounded.Derivations(holder{}.file(t, test.encoder)); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}
