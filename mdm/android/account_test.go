package android

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/refusal"
)

func TestParseAccount(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	without := func(part string) []byte {
		return accountFile(tokenURL, func(f map[string]any) { delete(f, part) })
	}
	with := func(part, value string) []byte {
		return accountFile(tokenURL, func(f map[string]any) { f[part] = value })
	}
	tests := []struct {
		name   string
		file   []byte
		fields string // refused; "-": accepted
	}{
		{"whole", accountFile(tokenURL, nil), "-"},
		{"in PKCS#1", with("private_key", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(robotKey()))), "-"},
		{"with a mark of its encoding", append([]byte("\xef\xbb\xbf"), accountFile(tokenURL, nil)...), "-"},
		{"empty", nil, ""},
		{"no JSON", []byte("{"), ""},
		{"a list", []byte("[]"), ""},
		{"too large", []byte(`{"type":"` + strings.Repeat("a", maxAccount) + `"}`), ""},
		{"nothing in it", []byte("{}"), "type project_id private_key_id client_email token_uri private_key"},
		{"no project", without("project_id"), "project_id"},
		{"no key ID", without("private_key_id"), "private_key_id"},
		{"no address", without("client_email"), "client_email"},
		{"no token address", without("token_uri"), "token_uri"},
		{"no key", without("private_key"), "private_key"},
		{"a user's file", with("type", "authorized_user"), "type"},
		{"a key that is no PEM", with("private_key", "MIIE"), "private_key"},
		{"a key that is none", with("private_key", pemOf("PRIVATE KEY", []byte{1, 2})), "private_key"},
		{"a small key", with("private_key", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small))), "private_key"},
		{"a key of another kind", with("private_key", pemOf("PRIVATE KEY", curveDER)), "private_key"},
		{"an address that is none", with("client_email", "robot"), "client_email"},
		{"a space in the project", with("project_id", "a b"), "project_id"},
		{"a file as token address", with("token_uri", "file:///etc/passwd"), "token_uri"},
		{"a token address with a password", with("token_uri", "https://a:b@host/token"), "token_uri"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := ParseAccount(test.file)
			if test.fields == "-" {
				if err != nil || a.Project != "project" || a.Email != "robot@project.example.test" || a.Source().Reveal() != string(test.file) {
					t.Errorf("got %v, %v; and the source is the file: %v", a, err, a.Source().Reveal() == string(test.file))
				}
				return
			}
			var fields []string
			for _, r := range refusal.All(err) {
				fields = append(fields, r.Field)
				if r.Remedy == "" || strings.Contains(r.Error(), "BEGIN") {
					t.Errorf("got %v", r)
				}
			}
			if !errors.Is(err, ErrAccount) || strings.Join(fields, " ") != test.fields {
				t.Errorf("got %v (%v), want refusals of %s", fields, err, test.fields)
			}
		})
	}
}

func TestAccountNeverPrintsItsKey(t *testing.T) {
	t.Parallel()
	a, err := ParseAccount(accountFile(tokenURL, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(a), fmt.Sprintf("%+v", a), fmt.Sprintf("%#v", a), fmt.Sprint(&a)} {
		if strings.Contains(text, "PRIVATE") || strings.Contains(text, "MII") {
			t.Errorf("%d bytes hold the key", len(text))
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	other, err := ParseAccount(accountFile("https://token.example.test/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(t.Context(), other, ""); !errors.Is(err, ErrAccount) {
		t.Errorf("another token address than Google's, at Google's: got %v", err)
	}
	if _, err := NewClient(t.Context(), Account{}, ""); !errors.Is(err, ErrAccount) {
		t.Errorf("no account: got %v", err)
	}
	for _, endpoint := range []string{"ftp://x/", "x", "https://a:b@x/", "https://x/?q=1"} {
		if _, err := NewClient(t.Context(), other, endpoint); !errors.Is(err, ErrEndpoint) {
			t.Errorf("%s: got %v", endpoint, err)
		}
	}
	google, err := ParseAccount(accountFile(tokenURL, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(t.Context(), google, ""); err != nil {
		t.Errorf("Google's own: got %v", err)
	}
}

func FuzzParseAccount(f *testing.F) {
	f.Add(accountFile(tokenURL, nil))
	f.Add([]byte(`{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----"}`))
	f.Fuzz(func(t *testing.T, source []byte) {
		a, err := ParseAccount(source)
		if err == nil && (a.Project == "" || a.Email == "" || a.key.IsZero() || a.token == "") {
			t.Errorf("got %+v", a)
		}
		if err != nil && !errors.Is(err, ErrAccount) {
			t.Errorf("got %v", err)
		}
	})
}
