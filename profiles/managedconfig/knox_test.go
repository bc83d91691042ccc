package managedconfig

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/refusal"
)

func knoxKeys() []Key {
	text := func(name, title string) Key { return Key{Name: name, Title: title, Type: String} }
	return []Key{
		text("a", "Key Alias"), text("s", "Subject"), text("h", "Server Host"), {Name: "p", Title: "Server Port", Type: Integer}, text("w", "Server Path"),
		{Name: "c", Title: "SCEP challenge password", Type: Hidden},
		{Name: "t", Title: "Challenge type", Type: Choice, Entries: []any{"1"}, Labels: []string{"Static"}},
		{Name: "o", Title: "Protocol", Type: Choice, Entries: []any{"0", "7"}, Labels: []string{"None", "SCEP"}},
		{Name: "k", Title: "Key Owner", Type: Choice, Entries: []any{"0"}},
	}
}

var knoxWants = KnoxCertificate{Alias: "sallyport-mail", Subject: "CN=alice@example.com", Host: "mdm.example.com", Port: 8443, Path: "/scep", Challenge: "00ff"}

func TestKnox(t *testing.T) {
	t.Parallel()
	one := Bundle{"a": "sallyport-mail", "s": "CN=alice@example.com", "h": "mdm.example.com", "p": 8443, "w": "/scep", "c": "00ff", "o": "7"}
	portless := maps.Clone(one)
	portless["p"] = "8443"
	for name, tt := range map[string]struct {
		keys []Key
		want Bundle
	}{
		"flat":     {knoxKeys(), one},
		"an array": {[]Key{{Name: "x", Type: String}, {Name: "l", Type: BundleArray, Nested: knoxKeys()}}, Bundle{"l": []Bundle{one}}},
		"an array of named bundles": {[]Key{{Name: "l", Type: BundleArray, Nested: []Key{{Name: "e", Type: BundleType, Nested: knoxKeys()}}}},
			Bundle{"l": []Bundle{one}}},
		"groups": {[]Key{{Name: "g", Type: BundleType, Nested: []Key{{Name: "l", Type: BundleArray, Nested: knoxKeys()}}}},
			Bundle{"g": Bundle{"l": []Bundle{one}}}},
		"a port of text": {append(slices.DeleteFunc(knoxKeys(), func(k Key) bool { return k.Name == "p" }), Key{Name: "p", Title: "Server port", Type: String}), portless},
	} {
		got, err := Knox(Schema{App: KnoxPackage, Keys: tt.keys, Live: true}, knoxWants)
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: %v\n%s", name, err, cmp.Diff(tt.want, got))
		}
	}
}

// TestKnoxGuessesNothing: what the plugin's schema lacks, or has twice, is named.
func TestKnoxGuessesNothing(t *testing.T) {
	t.Parallel()
	without := func(name string) []Key {
		return slices.DeleteFunc(knoxKeys(), func(k Key) bool { return k.Name == name })
	}
	for name, tt := range map[string]struct {
		keys  []Key
		field string
	}{
		"nothing known":   {nil, "Server Host"},
		"no alias":        {without("a"), "Server Host"},
		"no subject":      {without("s"), "Subject"},
		"no path":         {without("w"), "Server Path"},
		"no port":         {without("p"), "Server Port"},
		"no protocol":     {without("o"), "Protocol"},
		"no SCEP":         {append(without("o"), Key{Name: "o", Title: "Protocol", Type: Choice, Entries: []any{"1"}, Labels: []string{"EST"}}), "Protocol: SCEP"},
		"no challenge":    {without("c"), "challenge"},
		"two challenges":  {append(knoxKeys(), Key{Name: "d", Title: "Challenge", Type: String}), "challenge"},
		"a choice of two": {append(knoxKeys(), Key{Name: "s2", Title: "Subject", Type: String}), "Subject"},
	} {
		_, err := Knox(Schema{App: KnoxPackage, Keys: tt.keys, Live: true}, knoxWants)
		var refused *refusal.Error
		if !errors.Is(err, ErrSchema) || !errors.As(err, &refused) || refused.Field != tt.field || strings.Contains(err.Error(), knoxWants.Challenge) {
			t.Errorf("%s: got %v, want a refusal of %s", name, err, tt.field)
		}
	}
	if _, err := Knox(Schema{App: KnoxPackage, Keys: knoxKeys()}, knoxWants); !errors.Is(err, ErrSchema) {
		t.Errorf("a table that is built in: %v", err)
	}
}
