package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// AgentState is how one key stands, as the companion app is told it
// (docs/android-agent.md).
type AgentState string

const (
	AgentWanted    AgentState = "wanted"    // there is none, or none that is good
	AgentInstalled AgentState = "installed" // nothing is to be done
	AgentRenew     AgentState = "renew"     // it ends soon, or an admin wants it anew
	AgentRemove    AgentState = "remove"    // no mail account signs in with it any more
)

// AgentKey is one key that a phone should have, or have no more.
type AgentKey struct {
	Alias    string
	Revision string // another one whenever something is to be done
	State    AgentState
	Subject  string    // of the certificate request: "CN=alice@example.com"
	SHA256   string    // of the certificate that the app told of last; empty: none
	NotAfter time.Time // of that one
	profile  string    // identifier of the mail account
}

// keyAlias names the key of a template's mail account in the phone's key store.
// A template's name is lower case letters, digits and dashes, and never changes.
func keyAlias(template string) string { return "sallyport-" + template }

// agentKeys are the keys of one phone with these mail accounts, sorted by alias: the
// same for the app that asks and for the policy that has Android tell the app.
func (s *Service) agentKeys(ctx context.Context, have Have, accounts []AndroidMail) ([]AgentKey, error) {
	var list []AgentKey
	for _, m := range accounts {
		if m.Alias == "" {
			continue
		}
		k := AgentKey{Alias: m.Alias, profile: m.Identifier, Subject: "CN=" + have.User.UPN}
		known := have.Report.Key(m.Alias)
		if known.Profile != m.Identifier {
			known = mdm.KeyOnFile{}
		}
		good, err := s.goodKey(ctx, known)
		if err != nil {
			return nil, err
		}
		k.SHA256, k.NotAfter, k.State = known.SHA256, known.NotAfter, AgentWanted
		switch {
		case good && s.renewsKey(have.Enrollment, m.Identifier):
			k.State = AgentRenew
		case good:
			k.State = AgentInstalled
		}
		list = append(list, k.revised(have.Sent, known.At))
	}
	if have.Report.Keys != nil {
		for _, known := range have.Report.Keys.Items {
			wanted := slices.ContainsFunc(list, func(k AgentKey) bool { return k.Alias == known.Alias })
			if known.SHA256 == "" || wanted {
				continue
			}
			k := AgentKey{Alias: known.Alias, State: AgentRemove, Subject: "CN=" + have.User.UPN, SHA256: known.SHA256, NotAfter: known.NotAfter, profile: known.Profile}
			list = append(list, k.revised(have.Sent, known.At))
		}
	}
	slices.SortFunc(list, func(a, b AgentKey) int { return strings.Compare(a.Alias, b.Alias) })
	return list, nil
}

// goodKey reports whether a phone can sign in with a key.
func (s *Service) goodKey(ctx context.Context, k mdm.KeyOnFile) (bool, error) {
	if k.SHA256 == "" || !s.now().Before(k.NotAfter) {
		return false, nil
	}
	cert, err := s.Certificates.Lookup(ctx, k.SHA256)
	if err != nil && !errors.Is(err, certs.ErrNotFound) {
		return false, fmt.Errorf("look up certificate of a key: %w", err)
	}
	return err == nil && cert.RevokedAt.IsZero(), nil
}

// renewsKey reports whether the certificate of a mail account is due to be renewed.
func (s *Service) renewsKey(e mdm.Enrollment, profile string) bool {
	return slices.ContainsFunc(e.Renewals, func(r mdm.Renewal) bool {
		return r.Rule == string(certs.RuleMailIdentity) && r.Profile == profile && !s.now().Before(r.DueAt)
	})
}

// revised gives a key its revision. One that nothing is to be done with keeps the
// revision that the phone was told: nobody is to be woken for it.
func (k AgentKey) revised(sent AndroidPolicy, since time.Time) AgentKey {
	if told := sent.Keys[k.Alias]; k.State == AgentInstalled && told != "" {
		k.Revision = told
		return k
	}
	at := int64(0)
	if !since.IsZero() {
		at = since.UnixMicro()
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{k.Alias, k.profile, string(k.State), k.SHA256, strconv.FormatInt(at, 10)}, "\n")))
	k.Revision = hex.EncodeToString(sum[:8])
	return k
}

// companion is the app with what it is told, where a phone has keys to fetch or
// to remove; nil otherwise.
func (s *Service) companion(have Have, keys []AgentKey) *android.Companion {
	if have.Companion == "" || len(keys) == 0 {
		return nil
	}
	var list []managedconfig.Bundle
	for _, k := range keys {
		list = append(list, managedconfig.Bundle{"alias": k.Alias, "revision": k.Revision})
	}
	return &android.Companion{Package: have.Companion, Config: managedconfig.Bundle{
		"server_url":   s.PublicURL + androidPaths + "agent",
		"token":        s.agentToken(have.Enrollment.ID),
		"certificates": list,
	}}
}

// revisions are what a phone is told of its keys.
func revisions(keys []AgentKey) map[string]string {
	if len(keys) == 0 {
		return nil
	}
	told := make(map[string]string, len(keys))
	for _, k := range keys {
		told[k.Alias] = k.Revision
	}
	return told
}
