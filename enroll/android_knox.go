package enroll

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// knoxRenews is how old a challenge may be that the plugin has not used: it ends a
// day later (pushedChallengeTTL), and the phone gets another one before.
const knoxRenews = pushedChallengeTTL - 24*time.Hour

// knox: Samsung's own plugin is what fetches certificates.
func (h Have) knox() bool { return h.Companion == string(managedconfig.KnoxPackage) }

// bringsKeys reports whether something on the phone fetches certificates.
func (h Have) bringsKeys() bool {
	if !h.knox() {
		return h.Companion != ""
	}
	can, _ := knoxPhone(h.Report.Device)
	return can
}

// awaitsKnox reports whether the phone has yet to tell what decides that: an account
// that is given a key later is made anew, with all its mail.
func (h Have) awaitsKnox() bool {
	_, known := knoxPhone(h.Report.Device)
	return h.knox() && !known
}

// knoxPhone reports whether the plugin can do SCEP on a phone: one of Samsung's,
// managed as a whole, with Android 14 or later; known is false while it did not tell.
func knoxPhone(d *mdm.DeviceFacts) (can, known bool) {
	if d == nil || d.Supervised == nil {
		return false, false
	}
	if !*d.Supervised || d.Model != "" && !strings.HasPrefix(strings.ToLower(d.Model), "samsung ") {
		return false, true
	}
	major, _, _ := strings.Cut(d.OSVersion, ".")
	version, err := strconv.Atoi(major)
	return err == nil && d.Model != "" && version >= 14, err == nil && d.Model != ""
}

// learnKnox reads the plugin's schema, and refuses one by which it cannot be told of
// a certificate.
func (a *Androids) learnKnox(ctx context.Context) error {
	e, api, err := a.enterprise(ctx)
	if err != nil {
		return err
	}
	schema, err := api.Schema(ctx, e.Name, string(managedconfig.KnoxPackage))
	if gone(err) || err == nil && len(schema.Keys) == 0 {
		return refusal.New(ErrInvalid, "package", "is no app that Google has for your enterprise, with settings of its own", "approve the Knox Service Plugin in managed Google Play, and name it again then")
	}
	if err != nil {
		return google("ask which settings the Knox Service Plugin reads", err)
	}
	probe := managedconfig.KnoxCertificate{Alias: "sallyport-mail", Subject: "CN=alice", Host: "mdm.example.com", Port: 443, Path: "/scep", Challenge: "0"}
	if _, err := managedconfig.Knox(schema, probe); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := a.Service.AppSchemas.SaveAndroidSchema(ctx, AndroidSchema{Schema: schema, FetchedAt: a.now()}); err != nil {
		return fmt.Errorf("save schema of the Knox Service Plugin: %w", err)
	}
	a.Service.schemas.Store(nil)
	return nil
}

// knoxKey is the certificate that the plugin is told to fetch: it can have one.
type knoxKey struct {
	AgentKey
	at        time.Time // when its challenge was made
	fresh     bool      // it is to be minted before the plugin is told
	challenge secret.Value
}

// knoxCompanion is the plugin with what it is told. The challenge is made of what is
// on record, so that the same policy comes out until something is to be done:
// ErrSchema where the plugin's own schema does not say how it is told.
func (s *Service) knoxCompanion(ctx context.Context, have Have, keys []AgentKey) (*android.Companion, knoxKey, error) {
	i := slices.IndexFunc(keys, func(k AgentKey) bool { return k.State != AgentRemove })
	if i < 0 {
		return nil, knoxKey{}, nil
	}
	k, now := knoxKey{AgentKey: keys[i], at: have.Sent.KnoxAt}, s.now()
	told := !k.at.IsZero() && have.Sent.Keys[k.Alias] == k.Revision
	if !told || k.State != AgentInstalled && now.Sub(k.at).Abs() >= knoxRenews {
		k.at, k.fresh = now, true
	}
	parts := []string{string(have.Enrollment.ID), k.Alias, k.Revision, strconv.FormatInt(k.at.UnixMicro(), 10)}
	k.challenge = secret.New(hex.EncodeToString(s.MAC(purposeKnox, []byte(strings.Join(parts, "\n")))))
	schemas, err := s.androidSchemas(ctx)
	if err != nil {
		return nil, knoxKey{}, err
	}
	certificate, err := s.knoxCertificate(k)
	if err != nil {
		return nil, knoxKey{}, err
	}
	config, err := managedconfig.Knox(schemas[managedconfig.KnoxPackage].Schema, certificate)
	if err != nil {
		return nil, knoxKey{}, fmt.Errorf("configure the Knox Service Plugin: %w", err)
	}
	return &android.Companion{Package: have.Companion, Config: config, OwnRights: true}, k, nil
}

func (s *Service) knoxCertificate(k knoxKey) (managedconfig.KnoxCertificate, error) {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return managedconfig.KnoxCertificate{}, fmt.Errorf("read public_url: %w", err)
	}
	port := 443
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil {
			return managedconfig.KnoxCertificate{}, fmt.Errorf("read port of public_url: %w", err)
		}
	}
	return managedconfig.KnoxCertificate{
		Alias: k.Alias, Subject: k.Subject, Host: u.Hostname(), Port: port, Path: u.Path + "/scep", Challenge: k.challenge.Reveal(),
	}, nil
}

// mintKnox has the challenge count before the plugin is told of it.
func (s *Service) mintKnox(ctx context.Context, have Have, k knoxKey) error {
	if !k.fresh {
		return nil
	}
	e, u := have.Enrollment, have.User
	if err := s.Certificates.MintAs(ctx, k.challenge, mailGrant(u, e.ID, k.profile), pushedChallengeTTL); err != nil {
		return fmt.Errorf("mint challenge for enrolment %s: %w", e.ID, err)
	}
	entry := audit.New(ctx, k.at, "android.challenge", string(e.ID), audit.Done, "user", string(u.ID), "alias", k.Alias)
	if err := s.Audit.Append(ctx, entry); err != nil {
		return fmt.Errorf("audit challenge for enrolment %s: %w", e.ID, err)
	}
	return nil
}

// noteKnox notes what became of the keys that the plugin was told of: it tells
// nobody. A certificate counts as in place once it was issued, and what it follows
// ends. A key that no account has any more is gone.
func (a *Androids) noteKnox(ctx context.Context, have Have) (Have, error) {
	if !have.knox() {
		return have, nil
	}
	var news []AndroidKey
	for _, m := range have.Sent.Mail {
		if have.Sent.Keys[m.Alias] == "" {
			continue
		}
		sum, err := a.Companions.NewestMailIdentity(ctx, have.Enrollment.ID, m.Identifier)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return have, fmt.Errorf("look up mail identity of enrolment %s: %w", have.Enrollment.ID, err)
		}
		if err == nil && have.Report.Key(m.Alias).SHA256 != sum {
			news = append(news, AndroidKey{Alias: m.Alias, Profile: m.Identifier, SHA256: sum, At: a.now()})
		}
	}
	if have.Report.Keys != nil {
		for _, known := range have.Report.Keys.Items {
			wanted := slices.ContainsFunc(have.Sent.Mail, func(m AndroidMail) bool { return m.Alias == known.Alias })
			if known.SHA256 != "" && !wanted {
				news = append(news, AndroidKey{Alias: known.Alias, Profile: known.Profile, Gone: true, Forget: true, At: a.now()})
			}
		}
	}
	return a.notedKeys(ctx, have, news)
}

func (a *Androids) notedKeys(ctx context.Context, have Have, news []AndroidKey) (Have, error) {
	if len(news) == 0 {
		return have, nil
	}
	e := have.Enrollment
	for _, k := range news {
		action := "android.key.issued"
		if k.Gone {
			action = "android.key." + agentRemoved
		}
		entry := audit.New(ctx, k.At, action, string(e.ID), audit.Done, "user", string(e.UserID), "alias", k.Alias, "sha256", k.SHA256)
		err := a.Companions.SaveAndroidKey(ctx, e.ID, k, entry)
		if errors.Is(err, ErrConflict) { // revoked meanwhile, or expired: another one is wanted
			a.log().InfoContext(ctx, "certificate of the Knox Service Plugin does not count", logkey.Enrollment, e.ID, logkey.Error, err)
			continue
		}
		if err != nil {
			return have, fmt.Errorf("note key of enrolment %s: %w", e.ID, err)
		}
	}
	now, err := a.Service.Plans.LoadPlan(ctx, e.ID)
	if err != nil {
		return have, fmt.Errorf("load plan of enrolment %s: %w", e.ID, err)
	}
	return now, nil
}
