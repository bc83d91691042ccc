package certs

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// SMIMEUsers finds whom a key is for. internal/store implements it.
type SMIMEUsers interface {
	// UserByUPN returns directory.ErrNotFound for unknown and removed users.
	UserByUPN(ctx context.Context, upn string) (directory.User, error)
	// UsersByLogin returns those who could have typed login: a UPN, an address, a name.
	UsersByLogin(ctx context.Context, login string) ([]directory.User, error)
}

// Hands tells owners of tokens apart. *auth.Service is one.
type Hands interface {
	// SameHand reports whether one person may hold tokens of both owners.
	SameHand(ctx context.Context, a, b string) (bool, error)
}

// SMIME keeps the keys that users sign mail with and have mail encrypted to: made
// by us, or imported. Everything but Log, Now and Workers is needed.
type SMIME struct {
	Authority *Authority
	Store     SMIMEStore
	Users     SMIMEUsers
	Hands     Hands
	Audit     audit.Log // refusals
	Log       *slog.Logger
	Now       func() time.Time // nil means time.Now
	Workers   int              // key derivations and keys in the making at once; 0 means half of the processors

	once  sync.Once
	slots chan struct{}
	users sync.Map // user ID to *sync.Mutex: one key is made at a time
}

// Ensure returns what a phone of the user is to hold: for each usage the key in use
// first, then, of encryption, all older ones, newest first. Where there is none for
// that address, or it is in the last third of its life, we make one. A certificate
// that was imported is used until it ends: only its own authority can renew it.
func (s *SMIME) Ensure(ctx context.Context, userID, _, mail string, usages []SMIMEUsage) ([]SMIMEKey, error) {
	keys, err := s.ensure(ctx, userID, mail, usages)
	if err != nil {
		return nil, fmt.Errorf("S/MIME keys of user %s: %w", userID, err)
	}
	return arrange(keys, mail, usages, s.now(), inUse), nil
}

// Known returns what phones of the user hold by now, as far as we know, and makes
// nothing: for whoever only looks. It is what Ensure returns, but that a key stays
// the one in use beyond its end until Ensure has put another in its place.
func (s *SMIME) Known(ctx context.Context, userID, mail string, usages []SMIMEUsage) ([]SMIMEKey, error) {
	keys, err := s.all(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("S/MIME keys of user %s: %w", userID, err)
	}
	return arrange(keys, mail, usages, s.now(), held), nil
}

func (s *SMIME) ensure(ctx context.Context, userID, mail string, usages []SMIMEUsage) ([]SMIMEKey, error) {
	keys, err := s.all(ctx, userID)
	if err != nil || len(missing(keys, mail, usages, s.now())) == 0 {
		return keys, err
	}
	lock, _ := s.users.LoadOrStore(userID, &sync.Mutex{})
	lock.(*sync.Mutex).Lock() // two phones of a user come at once
	defer lock.(*sync.Mutex).Unlock()
	if keys, err = s.all(ctx, userID); err != nil {
		return nil, err
	}
	lacking := missing(keys, mail, usages, s.now())
	if len(lacking) == 0 {
		return keys, nil
	}
	if err := s.make(ctx, userID, mail, lacking, "due"); err != nil {
		return nil, err
	}
	return s.all(ctx, userID)
}

// all reads every key of a user, without the private part.
func (s *SMIME) all(ctx context.Context, userID string) ([]SMIMEKey, error) {
	f := SMIMEFilter{UserID: userID, Limit: 1000}
	var keys []SMIMEKey
	for {
		page, err := s.Store.ListSMIME(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("read S/MIME keys: %w", err)
		}
		keys = append(keys, page...)
		if len(page) < f.Limit {
			return keys, nil
		}
		f.After = page[len(page)-1].ID
	}
}

// missing are the usages for which there is no key to use, or one that is due.
func missing(keys []SMIMEKey, mail string, usages []SMIMEUsage, now time.Time) []SMIMEUsage {
	var lacking []SMIMEUsage
	for _, u := range usages {
		k, ok := inUse(keys, mail, u, now)
		if (!ok || k.due(now)) && !slices.Contains(lacking, u) {
			lacking = append(lacking, u)
		}
	}
	return lacking
}

// inUse is the key that the user's mail from that address is signed with, or mail to it
// encrypted to: the current one if it is good for that address, else the newest
// that is. So two accounts of one user, with an address each, have a key each.
func inUse(keys []SMIMEKey, mail string, usage SMIMEUsage, now time.Time) (best SMIMEKey, found bool) {
	for _, k := range keys {
		if k.Usage != usage || !k.usable(mail, now) {
			continue
		}
		if !found || k.Current || !best.Current && newer(k, best) < 0 {
			best, found = k, true
		}
	}
	return best, found
}

func (k SMIMEKey) usable(mail string, now time.Time) bool {
	return k.Source != SMIMEFormer && k.RevokedAt.IsZero() && !now.Before(k.NotBefore) && now.Before(k.NotAfter) && holdsName(k.Mails, mail)
}

func holdsName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return directory.Same(n, name) })
}

// newer orders keys by their beginning, the latest first.
func newer(a, b SMIMEKey) int {
	return cmp.Or(b.NotBefore.Compare(a.NotBefore), cmp.Compare(b.ID, a.ID))
}

// held is the key in use, or else the one that was when the last of them ended: no
// phone has been given another one since.
func held(keys []SMIMEKey, mail string, usage SMIMEUsage, now time.Time) (SMIMEKey, bool) {
	if k, ok := inUse(keys, mail, usage, now); ok {
		return k, true
	}
	var end time.Time
	used := slices.DeleteFunc(slices.Clone(keys), func(k SMIMEKey) bool { return !k.CreatedAt.Before(k.NotAfter) }) // the others came as history
	for _, k := range used {
		if k.Usage == usage && k.usable(mail, k.NotBefore) && k.NotAfter.After(end) && !now.Before(k.NotAfter) {
			end = k.NotAfter
		}
	}
	return inUse(used, mail, usage, end.Add(-time.Microsecond))
}

// chooser finds the key of a usage that comes first.
type chooser func(keys []SMIMEKey, mail string, usage SMIMEUsage, now time.Time) (SMIMEKey, bool)

// arrange is what Ensure returns. Current in it is the key that choose finds.
func arrange(keys []SMIMEKey, mail string, usages []SMIMEUsage, now time.Time, choose chooser) []SMIMEKey {
	keys = slices.SortedFunc(slices.Values(keys), newer)
	var list []SMIMEKey
	for _, u := range usages {
		first, found := choose(keys, mail, u, now)
		if found {
			first.Current = true
			list = append(list, first)
		}
		if u != SMIMEEncryption {
			continue
		}
		for _, k := range keys {
			if k.Usage == u && k.ID != first.ID {
				k.Current = false
				list = append(list, k)
			}
		}
	}
	return list
}

// PKCS12 returns a key of the user with its certificate and chain as a file
// under password: with AES-256 and SHA-256, or, where legacy, with triple DES and
// SHA-1, which is all that iOS before 15 reads. ErrNotFound when it is not theirs.
func (s *SMIME) PKCS12(ctx context.Context, userID, keyID string, password secret.Value, legacy bool) ([]byte, error) {
	keys, err := s.Store.SMIMEKeys(ctx, userID, []string{keyID})
	if err != nil {
		return nil, fmt.Errorf("read S/MIME key: %w", err)
	}
	encoder := pkcs12.Modern2023
	if legacy {
		encoder = pkcs12.LegacyDES
	}
	return keys[0].encode(encoder, password)
}

// encode writes the key as PKCS#12. Errors tell nothing of its content.
func (k SMIMEKey) encode(encoder *pkcs12.Encoder, password secret.Value) ([]byte, error) {
	key, err := x509.ParsePKCS8PrivateKey(k.Key)
	if err != nil {
		return nil, fmt.Errorf("read S/MIME key %s: not PKCS#8", k.ID)
	}
	leaf, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return nil, fmt.Errorf("read certificate of S/MIME key %s: %w", k.ID, err)
	}
	if signer, ok := key.(crypto.Signer); !ok || !samePublicKey(signer.Public(), leaf.PublicKey) {
		return nil, fmt.Errorf("S/MIME key %s is not that of its certificate", k.ID)
	}
	chain := make([]*x509.Certificate, 0, len(k.Chain))
	for _, der := range k.Chain {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("read chain of S/MIME key %s: %w", k.ID, err)
		}
		chain = append(chain, above)
	}
	data, err := encoder.Encode(key, leaf, chain, password.Reveal())
	if err != nil {
		return nil, fmt.Errorf("encode S/MIME key %s: PKCS#12 cannot hold it", k.ID)
	}
	return data, nil
}

// Issued is the row of a certificate that we issued, as Certificate.
func (k SMIMEKey) Issued() (Certificate, error) {
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return Certificate{}, fmt.Errorf("read certificate of S/MIME key %s: %w", k.ID, err)
	}
	return Certificate{
		SHA256: k.SHA256, DER: k.Certificate, Serial: hex.EncodeToString(cert.SerialNumber.Bytes()), Rule: smimeRules[k.Usage],
		UserID: k.UserID, Issuer: hex.EncodeToString(cert.AuthorityKeyId), KeyHash: hex.EncodeToString(secret.Hash(string(cert.RawSubjectPublicKeyInfo))),
		NotBefore: k.NotBefore, NotAfter: k.NotAfter,
	}, nil
}

func (s *SMIME) now() time.Time {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

// slot waits until another costly step may begin, and returns what ends it: keys
// are derived and made beside the phones and gates that this server answers.
func (s *SMIME) slot(ctx context.Context) (done func(), err error) {
	s.once.Do(func() {
		n := s.Workers
		if n <= 0 {
			n = max(1, runtime.GOMAXPROCS(0)/2)
		}
		s.slots = make(chan struct{}, n)
	})
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refused leaves a row in the trail of what was refused, and returns err.
func (s *SMIME) refused(ctx context.Context, action, target string, err error) error {
	all := refusal.All(err)
	if len(all) == 0 {
		return err
	}
	ctx = context.WithoutCancel(ctx) // who hangs up leaves the row all the same
	entry := audit.New(ctx, s.now(), action, target, audit.Refused, "reason", all[0].Reason)
	if failure := s.Audit.Append(ctx, entry); failure != nil && s.Log != nil {
		s.Log.ErrorContext(ctx, "audit row of a refusal not written", "action", action, "error", failure, logkey.Component, "smime")
	}
	return err
}

// user finds a user by UPN, or refuses.
func (s *SMIME) user(ctx context.Context, upn string) (directory.User, error) {
	u, err := s.Users.UserByUPN(ctx, upn)
	if errors.Is(err, directory.ErrNotFound) {
		return u, refusal.New(directory.ErrNotFound, "user", "there is no such user", "see: sallyport user list")
	}
	if err != nil {
		return u, fmt.Errorf("look up user: %w", err)
	}
	return u, nil
}
