package enroll

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles/managedconfig"
)

// pluginSchema is one by which the plugin can be told of a certificate.
func pluginSchema() managedconfig.Schema {
	s := managedconfig.Schema{App: managedconfig.KnoxPackage, Live: true}
	for _, title := range []string{"Key Alias", "Subject", "Server Host", "Server Port", "Server Path", "Challenge"} {
		s.Keys = append(s.Keys, managedconfig.Key{Name: strings.ToLower(title), Title: title, Type: managedconfig.String})
	}
	s.Keys = append(s.Keys, managedconfig.Key{Name: "protocol", Title: "Protocol", Type: managedconfig.Choice, Entries: []any{"1"}, Labels: []string{"SCEP"}})
	return s
}

// plugin has told of itself.
type plugin struct{ AndroidSchemaStore }

func (plugin) AndroidSchemas(context.Context) (map[managedconfig.Package]AndroidSchema, error) {
	return map[managedconfig.Package]AndroidSchema{managedconfig.KnoxPackage: {Schema: pluginSchema()}}, nil
}

func TestKnoxPhones(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, tt := range []struct {
		name       string
		d          *mdm.DeviceFacts
		can, known bool
	}{
		{"nothing told", nil, false, false},
		{"who manages it is not told", &mdm.DeviceFacts{Model: "Samsung SM-S921B", OSVersion: "14"}, false, false},
		{"a person's own", &mdm.DeviceFacts{Supervised: &no}, false, true},
		{"no model yet", &mdm.DeviceFacts{Supervised: &yes, OSVersion: "15"}, false, false},
		{"no version yet", &mdm.DeviceFacts{Supervised: &yes, Model: "Samsung SM-S921B"}, false, false},
		{"another maker's", &mdm.DeviceFacts{Supervised: &yes, Model: "Google Pixel 8"}, false, true},
		{"a name that begins so", &mdm.DeviceFacts{Supervised: &yes, Model: "Samsungish One", OSVersion: "15"}, false, true},
		{"too old", &mdm.DeviceFacts{Supervised: &yes, Model: "Samsung SM-G973F", OSVersion: "12"}, false, true},
		{"Android 14", &mdm.DeviceFacts{Supervised: &yes, Model: "Samsung SM-S921B", OSVersion: "14"}, true, true},
		{"Android 16 in full", &mdm.DeviceFacts{Supervised: &yes, Model: "samsung SM-S921B", OSVersion: "16.0.1"}, true, true},
	} {
		if can, known := knoxPhone(tt.d); can != tt.can || known != tt.known {
			t.Errorf("%s: %t, %t; want %t, %t", tt.name, can, known, tt.can, tt.known)
		}
	}
}

// TestKnoxChallenge: the plugin is told the same until something is to be done; what
// it did not use for six days is replaced before it ends.
func TestKnoxChallenge(t *testing.T) {
	t.Parallel()
	h, have, _ := keyScene(t)
	have.Companion = string(managedconfig.KnoxPackage)
	s := h.enroll
	s.AppSchemas = plugin{}
	ask := func(state AgentState, revision string) knoxKey {
		t.Helper()
		c, k, err := s.knoxCompanion(t.Context(), have, []AgentKey{{Alias: "old", State: AgentRemove}, {Alias: "sallyport-mail", Revision: revision, State: state, Subject: "CN=a"}})
		if err != nil {
			t.Fatal(err)
		}
		if !c.OwnRights || c.Config["challenge"] != k.challenge.Reveal() || len(k.challenge.Reveal()) != 64 || c.Config["key alias"] != "sallyport-mail" ||
			c.Config["server host"] == "" || !strings.HasSuffix(c.Config["server path"].(string), "/scep") {
			t.Errorf("told %+v", c)
		}
		return k
	}
	first := ask(AgentWanted, "r1")
	if !first.fresh {
		t.Error("the first challenge need not be minted")
	}
	sent := func(k knoxKey, age time.Duration) {
		have.Sent.Keys, have.Sent.KnoxAt = map[string]string{k.Alias: k.Revision}, s.now().Add(-age)
	}
	have.Sent.Keys, have.Sent.KnoxAt = map[string]string{"sallyport-mail": "r1"}, first.at
	if again := ask(AgentWanted, "r1"); again.fresh || again.challenge.Reveal() != first.challenge.Reveal() {
		t.Error("another challenge, and nothing has changed")
	}
	if next := ask(AgentRenew, "r2"); !next.fresh || next.challenge.Reveal() == first.challenge.Reveal() {
		t.Error("the same challenge for another certificate")
	}
	sent(first, knoxRenews)
	if !ask(AgentWanted, "r1").fresh {
		t.Error("an old challenge that nobody has used stays")
	}
	if ask(AgentInstalled, "r1").fresh {
		t.Error("a challenge for a certificate that is there")
	}
	if c, _, err := s.knoxCompanion(t.Context(), have, []AgentKey{{Alias: "old", State: AgentRemove}}); c != nil || err != nil {
		t.Errorf("for no certificate: %+v, %v", c, err)
	}
}

// shop is Google as far as it tells of the plugin.
type shop struct {
	AndroidPolicies
	schema managedconfig.Schema
	err    error
}

func (s shop) Schema(context.Context, string, string) (managedconfig.Schema, error) {
	return s.schema, s.err
}

// signedUp is a server with an enterprise.
type signedUp struct{ AndroidEnterpriseStore }

func (signedUp) AndroidEnterprise(context.Context) (AndroidEnterprise, error) {
	return AndroidEnterprise{Name: "enterprises/E", Account: secret.New("key")}, nil
}

// TestKnoxIsLookedAtFirst: a plugin that cannot be told of a certificate is not taken,
// and whoever names it reads why.
func TestKnoxIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	old := pluginSchema()
	old.Keys = old.Keys[1:] // no Key Alias
	for _, tt := range []struct {
		name  string
		s     shop
		is    error
		field string
	}{
		{"as it should be", shop{schema: pluginSchema()}, nil, ""},
		{"not approved", shop{err: notFound}, ErrInvalid, "package"},
		{"silent", shop{schema: managedconfig.Schema{App: managedconfig.KnoxPackage, Live: true}}, ErrInvalid, "package"},
		{"another version", shop{schema: old}, ErrInvalid, "Server Host"},
		{"no answer", shop{err: unavailable}, ErrGoogle, ""},
	} {
		h := newHouse(t)
		a := &Androids{Service: h.enroll, Enterprises: signedUp{}}
		a.last = connection{string(secret.Hash("key")), AndroidAPI{AndroidPolicies: tt.s}}
		err := a.learnKnox(t.Context())
		var refused *refusal.Error
		if !errors.Is(err, tt.is) || tt.is != nil && (!errors.As(err, &refused) || refused.Field != tt.field || refused.Remedy == "" && tt.is == ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
