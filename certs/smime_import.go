package certs

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const (
	// MaxSMIMEFiles bounds one import.
	MaxSMIMEFiles = 500
	// MaxSMIMEDerivations bounds what the files of one import may ask for together:
	// some seconds of one processor.
	MaxSMIMEDerivations = 8_000_000
)

// SMIMEFile is one PKCS#12 file of an import.
type SMIMEFile struct {
	Line     int    // of the list that names it
	Mail     string // whose key it is: an address, or a UPN
	Former   string // an address that this user once had, and that the certificate names: the key is for old mail alone; mostly empty
	Name     string // of the file
	Data     []byte
	Password secret.Value
}

// Format prints which file it is, and nothing of its content.
func (f SMIMEFile) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "line %d: %s", f.Line, f.Name) }

// SMIMEOutcome is what became of a file.
type SMIMEOutcome string

const (
	SMIMEAdded   SMIMEOutcome = "added"
	SMIMEKnown   SMIMEOutcome = "known" // it is on record already
	SMIMERefused SMIMEOutcome = "refused"
)

// SMIMEImportResult says what became of one file.
type SMIMEImportResult struct {
	Line    int
	Mail    string
	Former  string
	File    string
	Outcome SMIMEOutcome
	Keys    []SMIMEKey     // what was, or in a dry run would be, added; without the keys themselves
	Refused *refusal.Error // nil unless refused
}

// Import adds keys from files, those that can be: each file has its own answer, in
// the order of files, and what is refused of one stops no other. What is on record
// already is known, so that an import can be repeated after it was cut off. In a dry run
// nothing is written. The error is for what concerns all of them.
func (s *SMIME) Import(ctx context.Context, files []SMIMEFile, dryRun bool) ([]SMIMEImportResult, error) {
	if len(files) == 0 || len(files) > MaxSMIMEFiles {
		return nil, refusal.New(ErrSMIME, "files", fmt.Sprintf("are %d", len(files)), fmt.Sprintf("send 1 to %d at once", MaxSMIMEFiles))
	}
	i := &smimeImport{s: s, now: s.now(), results: make([]SMIMEImportResult, len(files)), failures: make([]error, len(files))}
	affordable := affordable(files)
	var group sync.WaitGroup
	for n, f := range files {
		i.results[n] = SMIMEImportResult{Line: f.Line, Mail: f.Mail, Former: f.Former, File: f.Name}
		if !affordable[n] {
			i.refuse(n, refusal.New(ErrSMIME, "file", "asks for more key derivation than is left for one request", "send it in a request of its own"))
			continue
		}
		group.Go(func() { i.failures[n] = i.read(ctx, n, f) })
	}
	group.Wait()
	if err := errors.Join(i.failures...); err != nil {
		return nil, fmt.Errorf("import S/MIME keys: %w", err)
	}
	i.foldTwins()
	if !dryRun {
		if err := i.save(ctx); err != nil {
			return nil, fmt.Errorf("import S/MIME keys: %w", err)
		}
	}
	for _, r := range i.results {
		for k := range r.Keys {
			r.Keys[k].Key = nil
		}
	}
	return i.results, nil
}

// affordable says which files, in their order, may be opened together. One that
// is too costly by itself, or no PKCS#12, is left to be refused as such.
func affordable(files []SMIMEFile) []bool {
	may := make([]bool, len(files))
	var sum int64
	for n, f := range files {
		may[n] = true
		if bounded.DER(f.Data, MaxPKCS12, bounded.MaxDepth) != nil {
			continue
		}
		asks := bounded.Derivations(f.Data)
		if asks > bounded.MaxDerivations {
			continue
		}
		if may[n] = sum+asks <= MaxSMIMEDerivations; may[n] {
			sum += asks
		}
	}
	return may
}

// smimeImport is one import on its way.
type smimeImport struct {
	s        *SMIME
	now      time.Time
	results  []SMIMEImportResult
	failures []error
}

func (i *smimeImport) refuse(n int, why *refusal.Error) {
	i.results[n].Outcome, i.results[n].Refused = SMIMERefused, why
}

// read opens one file. An error concerns the whole import; a refusal this file.
func (i *smimeImport) read(ctx context.Context, n int, f SMIMEFile) error {
	u, why, err := i.s.userByMail(ctx, f.Mail)
	if err != nil {
		return err
	}
	if why == nil && f.Former != "" {
		why, err = i.s.mayHaveHad(ctx, u, f.Former)
	}
	if err != nil {
		return err
	}
	var opened PKCS12
	if why == nil {
		opened, why, err = i.s.open(ctx, f)
	}
	if err != nil {
		return err
	}
	var usages []SMIMEUsage
	switch {
	case why != nil:
	case f.Former != "":
		usages, why = history(opened.Certificate, f.Former, i.now)
	default:
		usages, why = importable(opened.Certificate, u, f.Mail, i.now)
	}
	if why != nil {
		i.refuse(n, why)
		return nil
	}
	return i.take(ctx, n, u, opened, usages)
}

// open waits for its turn and opens a file.
func (s *SMIME) open(ctx context.Context, f SMIMEFile) (PKCS12, *refusal.Error, error) {
	if f.Password.IsZero() {
		return PKCS12{}, refusal.New(ErrSMIME, "password", "is missing", "export the file anew with a password"), nil
	}
	done, err := s.slot(ctx)
	if err != nil {
		return PKCS12{}, nil, err
	}
	defer done()
	opened, why := OpenPKCS12(f.Data, f.Password, PKCS12Fields{Err: ErrSMIME, File: "file", Password: "password"})
	return opened, why, nil
}

// userByMail finds the one whose address, or else whose UPN, mail is.
func (s *SMIME) userByMail(ctx context.Context, mail string) (directory.User, *refusal.Error, error) {
	if why := refusal.Identifier(ErrSMIME, "mail", mail, maxName); why != nil {
		return directory.User{}, why, nil
	}
	found, err := s.Users.UsersByLogin(ctx, mail)
	if err != nil {
		return directory.User{}, nil, fmt.Errorf("look up user: %w", err)
	}
	for _, name := range []func(directory.User) string{
		func(u directory.User) string { return u.Email },
		func(u directory.User) string { return u.UPN },
	} {
		for _, u := range found {
			if directory.Same(name(u), mail) {
				return u, nil, nil
			}
		}
	}
	return directory.User{}, refusal.New(ErrSMIME, "mail", "is neither the address nor the UPN of a user", "add the user first: sallyport user add"), nil
}

// take makes of an opened file what is not on record yet.
func (i *smimeImport) take(ctx context.Context, n int, u directory.User, p PKCS12, usages []SMIMEUsage) error {
	known, err := i.s.all(ctx, string(u.ID))
	if err != nil {
		return err
	}
	r, source := &i.results[n], SMIMEImported
	if r.Former != "" {
		source = SMIMEFormer
	}
	r.Outcome = SMIMEKnown
	for _, usage := range usages {
		k, err := newSMIMEKey(string(u.ID), usage, source, p, i.now)
		if err != nil {
			return err
		}
		k.UPN = u.UPN
		if !slices.ContainsFunc(known, k.same) {
			r.Keys, r.Outcome = append(r.Keys, k), SMIMEAdded
		}
	}
	return nil
}

// same reports whether both are the same key for the same use.
func (k SMIMEKey) same(other SMIMEKey) bool {
	return k.UserID == other.UserID && k.Usage == other.Usage && k.SHA256 == other.SHA256
}

// foldTwins makes known what a file of the same import has brought already.
func (i *smimeImport) foldTwins() {
	var seen []SMIMEKey
	for n := range i.results {
		r := &i.results[n]
		r.Keys = slices.DeleteFunc(r.Keys, func(k SMIMEKey) bool {
			twin := slices.ContainsFunc(seen, k.same)
			seen = append(seen, k)
			return twin
		})
		if r.Outcome == SMIMEAdded && len(r.Keys) == 0 {
			r.Outcome = SMIMEKnown
		}
	}
}

func (i *smimeImport) save(ctx context.Context) error {
	var keys []SMIMEKey
	var entries []audit.Entry
	for _, r := range i.results {
		for _, k := range r.Keys {
			keys = append(keys, k)
			detail := []string{"user", k.UserID, "usage", string(k.Usage), "source", string(k.Source), "certificate", k.SHA256, "not_after", k.NotAfter.Format(time.RFC3339)}
			if r.Former != "" {
				detail = append(detail, "former", r.Former)
			}
			entries = append(entries, audit.New(ctx, i.now, "smime.import", k.ID, audit.Done, detail...))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if _, err := i.s.Store.SaveSMIME(ctx, keys, entries); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	return nil
}

// importable says what a certificate can be used for, or refuses it: it is somebody
// else's, or not for mail, or over. One that mail was encrypted to is welcome when it is over.
func importable(cert *x509.Certificate, u directory.User, mail string, now time.Time) ([]SMIMEUsage, *refusal.Error) {
	refuse := func(reason, remedy string) ([]SMIMEUsage, *refusal.Error) {
		return nil, refusal.New(ErrSMIME, "file", reason, remedy)
	}
	h := HolderOf(cert)
	if !holdsName(h.Mails, mail) && !holdsName(h.Mails, u.Email) {
		return refuse("holds a certificate for "+foundMails(h),
			"give the file of this user, or the address that its certificate names; where that once was this user's, name it in the column former, and old mail can be read with it")
	}
	usages, why := forMail(cert, now)
	if why != nil {
		return nil, why
	}
	if !now.Before(cert.NotAfter) {
		if usages = slices.DeleteFunc(usages, func(u SMIMEUsage) bool { return u == SMIMESigning }); len(usages) == 0 {
			return refuse("holds a certificate that expired on "+cert.NotAfter.UTC().Format(time.DateOnly)+", and nothing can be signed with it", "leave it out, or give its successor")
		}
		if !readable(cert) {
			return nil, unusable()
		}
		return usages, nil
	}
	if CheckKey(cert.PublicKey) != nil {
		return refuse("holds a key that is too weak, or of a kind that phones do not use", "have a certificate issued for RSA with 2048 to 4096 bits, or P-256 or P-384")
	}
	return usages, nil
}

// forMail says what a certificate of a person can be used for at all, by now.
func forMail(cert *x509.Certificate, now time.Time) ([]SMIMEUsage, *refusal.Error) {
	refuse := func(reason, remedy string) ([]SMIMEUsage, *refusal.Error) {
		return nil, refusal.New(ErrSMIME, "file", reason, remedy)
	}
	usages := smimeUsages(cert)
	switch {
	case cert.IsCA:
		return refuse("holds the certificate of an authority", "give the file of the person's own certificate")
	case len(usages) == 0:
		return refuse("holds a certificate that is not for mail: it may neither sign it nor have it encrypted to it", "give one with emailProtection, and digitalSignature or keyEncipherment")
	case now.Before(cert.NotBefore):
		return refuse("holds a certificate that is not valid before "+cert.NotBefore.UTC().Format(time.DateOnly), "import it then")
	}
	return usages, nil
}

func unusable() *refusal.Error {
	return refusal.New(ErrSMIME, "file", "holds a key of a kind or length that phones cannot use", "leave it out")
}

// readable lets weaker keys pass for old mail: refusing them protects nobody, and
// loses the mail.
func readable(cert *x509.Certificate) bool {
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		bits := key.N.BitLen()
		return bits >= 1024 && bits <= 8192
	}
	return CheckKey(cert.PublicKey) == nil
}

func foundMails(h Holder) string {
	if len(h.Mails) > 0 {
		return strings.Join(h.Mails, ", ")
	}
	if h.Subject != "" {
		return "no mail address, but " + h.Subject
	}
	return "no mail address"
}

// smimeUsages follows from KeyUsage and ExtKeyUsage (RFC 8550, section 4.4); a
// certificate without them may be used for everything.
func smimeUsages(cert *x509.Certificate) []SMIMEUsage {
	forMail := len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 ||
		slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
	if !forMail {
		return nil
	}
	const signs = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageDataEncipherment
	var usages []SMIMEUsage
	if cert.KeyUsage == 0 || cert.KeyUsage&signs != 0 {
		usages = append(usages, SMIMESigning)
	}
	if cert.KeyUsage == 0 || cert.KeyUsage&encrypts != 0 {
		usages = append(usages, SMIMEEncryption)
	}
	return usages
}
