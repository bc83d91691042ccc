package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// serviceAccount is the key file that Google Cloud's console hands out
// (https://cloud.google.com/iam/docs/keys-create-delete).
type serviceAccount struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	ClientID     string `json:"client_id"`
	AuthURI      string `json:"auth_uri"`
	TokenURI     string `json:"token_uri"`
	Provider     string `json:"auth_provider_x509_cert_url"`
	Client       string `json:"client_x509_cert_url"`
	Universe     string `json:"universe_domain"`

	public *rsa.PublicKey
}

// openAccount takes the account that is kept in that file, or makes one. Its
// token_uri becomes that of the running stand-in; its key stays, so that a server
// which has it need not be told again.
func openAccount(file, project, tokenURI string) (*serviceAccount, error) {
	account := &serviceAccount{}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if account, err = newAccount(project); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("service account: %w", err)
	default:
		if err := json.Unmarshal(text, account); err != nil {
			return nil, fmt.Errorf("%w: service account %s: not the JSON that is expected there", ErrInvalid, file)
		}
	}
	if account.public, err = account.publicKey(); err != nil {
		return nil, fmt.Errorf("%w: service account %s: %w", ErrInvalid, file, err)
	}
	account.TokenURI = tokenURI
	return account, account.write(file)
}

func (s *serviceAccount) write(file string) error {
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	if err := writeAtomic(file, append(out, '\n')); err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	return nil
}

// ReplaceKey is what an administrator does in the console: the service account
// gets another key, which is in its file from now on, and the one before is
// deleted with all access that was got with it.
func (a *AMAPI) ReplaceKey() error {
	a.mu.Lock()
	project, tokens := a.account.ProjectID, a.account.TokenURI
	a.mu.Unlock()
	next, err := newAccount(project)
	if err != nil {
		return err
	}
	next.TokenURI = tokens
	if next.public, err = next.publicKey(); err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	if err := next.write(a.Account()); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deleted[a.account.PrivateKeyID] = true
	a.account = next
	for token := range a.s.Bearers {
		a.s.Bearers[token] = time.Time{} // known, and over
	}
	return a.keep()
}

func newAccount(project string) (*serviceAccount, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	id := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	mail := "sallyport@" + project + ".iam.gserviceaccount.com"
	return &serviceAccount{
		Type: "service_account", ProjectID: project, PrivateKeyID: hex.EncodeToString(id[:20]),
		PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		ClientEmail: mail, ClientID: "1" + random("0123456789", 20),
		AuthURI:  "https://accounts.google.com/o/oauth2/auth",
		Provider: "https://www.googleapis.com/oauth2/v1/certs",
		Client:   "https://www.googleapis.com/robot/v1/metadata/x509/sallyport%40" + project + ".iam.gserviceaccount.com",
		Universe: "googleapis.com",
	}, nil
}

func (s *serviceAccount) publicKey() (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(s.PrivateKey))
	if block == nil {
		return nil, errors.New("private_key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("private_key is not PKCS#8")
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("private_key is no RSA key")
	}
	return &private.PublicKey, nil
}
