package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/cms"
	"sallyport/internal/refusal"
)

// ErrCertificate says that a certificate that was given cannot be used.
var ErrCertificate = errors.New("certificate cannot be used")

// serverTLS serves a certificate that is renewed while the server runs.
type serverTLS struct {
	current    atomic.Pointer[tls.Certificate]
	renew      func(ctx context.Context) (tls.Certificate, error)
	refreshing sync.Mutex
	changed    func() error // nil, or called after every refresh, one at a time
}

// refresh fetches the certificate anew. Whoever calls it periodically keeps it fresh.
func (s *serverTLS) refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	c, err := s.renew(ctx)
	if err != nil {
		return err
	}
	s.current.Store(&c)
	if s.changed == nil {
		return nil
	}
	return s.changed()
}

// config is the TLS of every listener: 1.2 is what iOS asks of a server as well
// (https://support.apple.com/guide/security/tls-network-security-sec100a75d12/web).
func (s *serverTLS) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.current.Load(), nil
		},
	}
}

// fileTLS reads the certificate from files, again when they change: programs
// that renew certificates replace the files.
func fileTLS(certFile, keyFile string, now func() time.Time) func(context.Context) (tls.Certificate, error) {
	var (
		mu   sync.Mutex
		seen [2]time.Time
		last tls.Certificate
	)
	return func(context.Context) (tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		var at [2]time.Time
		for i, name := range []string{certFile, keyFile} {
			info, err := os.Stat(name)
			if err != nil {
				return last, pairFault("tls_cert", err)
			}
			at[i] = info.ModTime()
		}
		if at == seen {
			return last, nil
		}
		c, err := loadPair("tls_cert", certFile, keyFile, now())
		if err != nil {
			return last, err
		}
		last, seen = c, at
		return last, nil
	}
}

// loadPair reads a certificate with its chain and its key, and refuses what
// would fail later on a phone.
func loadPair(setting, certFile, keyFile string, now time.Time) (tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return c, pairFault(setting, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return c, pairFault(setting, err)
		}
	}
	if now.After(c.Leaf.NotAfter) {
		return c, refusal.New(ErrCertificate, setting, fmt.Sprintf("%s expired at %s", certFile, c.Leaf.NotAfter.UTC().Format(time.RFC3339)), "renew it")
	}
	if now.Before(c.Leaf.NotBefore) {
		return c, refusal.New(ErrCertificate, setting, fmt.Sprintf("%s is not valid before %s", certFile, c.Leaf.NotBefore.UTC().Format(time.RFC3339)), "set this machine's clock")
	}
	return c, nil
}

// chainOf is the certificate and what was given with it. What cannot be read is
// left out: it leads nowhere.
func chainOf(c tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{c.Leaf}
	for _, der := range c.Certificate[1:] {
		if parsed, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, parsed)
		}
	}
	return chain
}

// checkHost refuses a server certificate that is not for the public URL: every
// phone would.
func checkHost(c tls.Certificate, publicURL string) error {
	if err := c.Leaf.VerifyHostname(hostOf(publicURL)); err != nil {
		return refusal.New(ErrCertificate, "tls_cert", fmt.Sprintf("the certificate is not for the public URL %s", publicURL),
			"get one for that name")
	}
	return nil
}

func pairFault(setting string, err error) error {
	return refusal.New(ErrCertificate, setting, err.Error(), "name PEM files of a certificate, with its chain, and of its key")
}

// loadSigner reads the certificate that signs profiles.
func loadSigner(certFile, keyFile string, now time.Time) (cms.Identity, error) {
	pair, err := loadPair("signing_cert", certFile, keyFile, now)
	if err != nil {
		return cms.Identity{}, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return cms.Identity{}, refusal.New(ErrCertificate, "signing_key", "cannot sign", "use an RSA or ECDSA key")
	}
	id := cms.Identity{Certificate: pair.Leaf, Key: key}
	below := pair.Leaf
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return cms.Identity{}, pairFault("signing_cert", err)
		}
		// Once, here: signing looks at the order of the chain only.
		if err := below.CheckSignatureFrom(c); err != nil {
			return cms.Identity{}, refusal.New(ErrCertificate, "signing_cert",
				fmt.Sprintf("%s did not issue %s, which stands before it", c.Subject, below.Subject),
				"put the certificate first in the file, then the one that issued it, and so on")
		}
		id.Chain, below = append(id.Chain, c), c
	}
	if _, err := cms.Sign([]byte("test"), id); err != nil {
		return cms.Identity{}, refusal.New(ErrCertificate, "signing_cert", "cannot sign a profile: "+err.Error(), "use an RSA or ECDSA certificate whose usage allows digital signatures")
	}
	return id, nil
}
