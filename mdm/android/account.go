package android

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// ErrAccount says that a service account cannot be used; the refusals name its
// missing or wrong parts.
var ErrAccount = errors.New("invalid service account")

const (
	maxAccount  = 64 << 10
	maxPart     = 2048 // bytes of a part other than the key
	minKeyBits  = 2048
	accountType = "service_account"
	// tokenURL is where Google gives access tokens to service accounts.
	tokenURL = "https://oauth2.googleapis.com/token"
)

// Account is a service account of the customer's own Google Cloud project, as
// the console hands it out. It prints without its key.
// https://cloud.google.com/iam/docs/keys-create-delete
type Account struct {
	Project string // Google Cloud project
	Email   string // who signs
	KeyID   string
	source  secret.Value
	key     secret.Value // PEM
	token   string       // where tokens are fetched
}

// Source is the JSON as it was given, to be sealed at rest.
func (a Account) Source() secret.Value { return a.source }

// Format prints who it is. Without it fmt would reach into the fields that are not
// exported, past the methods that keep a secret.Value from printing.
func (a Account) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "service account %s of project %s, key %s", a.Email, a.Project, a.KeyID)
}

// LogValue logs the same.
func (a Account) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(a)) }

// ParseAccount reads the JSON key file of a service account. Its refusals wrap
// ErrAccount and name each part that is missing; none repeats what the file says.
func ParseAccount(source []byte) (Account, error) {
	if len(source) > maxAccount {
		return Account{}, refusal.New(ErrAccount, "", "the file is larger than 64 KiB", "give the JSON key file of one service account")
	}
	var file struct {
		Type       string `json:"type"`
		ProjectID  string `json:"project_id"`
		PrivateID  string `json:"private_key_id"`
		PrivateKey string `json:"private_key"`
		Email      string `json:"client_email"`
		TokenURI   string `json:"token_uri"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(source, []byte("\ufeff")), &file); err != nil {
		return Account{}, refusal.New(ErrAccount, "", "the file is not the JSON of a service account", "download a new key file of type JSON from Google Cloud: IAM, Service accounts, Keys")
	}
	var list refusal.List
	switch file.Type {
	case accountType:
	case "":
		list.Add(missing("type"))
	default:
		list.Add(refusal.New(ErrAccount, "type", "is not service_account", "make a service account in Google Cloud and a key of type JSON for it"))
	}
	for _, part := range []struct{ name, value string }{
		{"project_id", file.ProjectID}, {"private_key_id", file.PrivateID}, {"client_email", file.Email}, {"token_uri", file.TokenURI},
	} {
		if part.value == "" {
			list.Add(missing(part.name))
			continue
		}
		list.Add(refusal.Identifier(ErrAccount, part.name, part.value, maxPart))
	}
	if file.Email != "" && !strings.Contains(file.Email, "@") {
		list.Add(refusal.New(ErrAccount, "client_email", "is no mail address", "give the key file as it was downloaded"))
	}
	if file.TokenURI != "" {
		list.Add(checkTokenURL(file.TokenURI))
	}
	list.Add(checkKey(file.PrivateKey))
	if err := list.OrNil(); err != nil {
		return Account{}, err
	}
	return Account{
		Project: file.ProjectID, Email: file.Email, KeyID: file.PrivateID, token: file.TokenURI,
		source: secret.New(string(source)), key: secret.New(file.PrivateKey),
	}, nil
}

func missing(part string) *refusal.Error {
	return refusal.New(ErrAccount, part, "is missing", "give the key file as it was downloaded, whole and unchanged")
}

func checkTokenURL(value string) *refusal.Error {
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return refusal.New(ErrAccount, "token_uri", "is no web address", "give the key file as it was downloaded")
	}
	return nil
}

// checkKey: Google signs in service accounts by RS256 alone.
func checkKey(text string) *refusal.Error {
	if text == "" {
		return missing("private_key")
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return refusal.New(ErrAccount, "private_key", "is no PEM block", "give the key file as it was downloaded; line breaks in the key are \\n")
	}
	key := rsaKey(block.Bytes)
	switch {
	case key == nil:
		return refusal.New(ErrAccount, "private_key", "is no RSA key", "make a new key of type JSON for the service account")
	case key.N.BitLen() < minKeyBits:
		return refusal.New(ErrAccount, "private_key", "is an RSA key of less than 2048 bits", "make a new key of type JSON for the service account")
	}
	return nil
}

func rsaKey(der []byte) *rsa.PrivateKey {
	if parsed, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		key, _ := parsed.(*rsa.PrivateKey)
		return key
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return nil
	}
	return key
}
