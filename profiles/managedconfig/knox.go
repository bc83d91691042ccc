package managedconfig

import (
	"fmt"
	"strings"

	"sallyport/internal/refusal"
)

// KnoxPackage is Samsung's Knox Service Plugin, which sets up what only Samsung's
// phones can do.
const KnoxPackage Package = "com.samsung.android.knox.kpu"

// What the plugin calls its settings for a certificate by SCEP: labels alone are
// published, the names of the keys are told by its own schema.
// https://docs.samsungknox.com/admin/knox-platform-for-enterprise/knox-service-plugin/configure-advanced-policies/certificate-provisioning-configurations/
const (
	knoxProtocol = "Protocol"
	knoxAlias    = "Key Alias"
	knoxSubject  = "Subject"
	knoxHost     = "Server Host"
	knoxPort     = "Server Port"
	knoxPath     = "Server Path"
	knoxSCEP     = "scep" // the protocol, among those that it offers
	// knoxChallenge is in the label of the challenge, which is not published: it is the
	// one setting of the group that is called after it.
	knoxChallenge = "challenge"
)

// KnoxCertificate is what the plugin is told to fetch.
type KnoxCertificate struct {
	Alias     string // of the key in the phone's key store
	Subject   string // of the request: "CN=alice@example.com"
	Host      string
	Port      int // 1 to 65535
	Path      string
	Challenge string
}

// Knox writes the plugin's configuration for one certificate by SCEP, by its own
// schema. What that lacks is refused (ErrSchema), by its label: half of a
// configuration fetches nothing. Lists that Samsung says nothing of (who provides
// the key, who owns it) are left at what the plugin takes by itself.
func Knox(s Schema, c KnoxCertificate) (Bundle, error) {
	path, group, found := knoxGroup(s.Keys, maxKnoxDepth)
	if !s.Live || !found {
		return nil, knoxLacks(knoxHost)
	}
	one := Bundle{}
	var list refusal.List
	text := func(label, value string) {
		k, known := (labels{keys: group}).find(label, String, Hidden)
		if !known {
			list.Add(knoxLacks(label))
			return
		}
		one[k.Name] = value
	}
	text(knoxAlias, c.Alias)
	text(knoxSubject, c.Subject)
	text(knoxHost, c.Host)
	text(knoxPath, c.Path)
	list.Add(one.knoxPort(group, c.Port), one.knoxProtocol(group), one.knoxChallenge(group, c.Challenge))
	if err := list.OrNil(); err != nil {
		return nil, err
	}
	b := nest(path, one)
	return b, s.Validate(b)
}

func knoxLacks(label string) *refusal.Error {
	return refusal.New(ErrSchema, label, "is nothing that the version of the Knox Service Plugin in the store calls so",
		"have a companion app fetch certificates (docs/android-agent.md), and tell us the plugin's version")
}

// maxKnoxDepth is how deep the group is looked for: Google nests two levels, and
// what an array repeats is one more.
const maxKnoxDepth = 4

// knoxGroup finds the settings of a certificate by two that stand together nowhere
// else, with the groups around them, the outermost first.
func knoxGroup(keys []Key, deep int) (path, group []Key, found bool) {
	_, alias := labelled(keys, knoxAlias)
	_, host := labelled(keys, knoxHost)
	if alias && host {
		return nil, keys, true
	}
	if deep == 0 {
		return nil, nil, false
	}
	for _, k := range keys {
		if k.Type != BundleType && k.Type != BundleArray {
			continue
		}
		if path, group, found := knoxGroup(k.element(), deep-1); found {
			return append([]Key{k}, path...), group, true
		}
	}
	return nil, nil, false
}

// nest puts a group into the groups around it.
func nest(path []Key, inner Bundle) Bundle {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i].Type == BundleArray {
			inner = Bundle{path[i].Name: []Bundle{inner}}
		} else {
			inner = Bundle{path[i].Name: inner}
		}
	}
	return inner
}

func (b Bundle) knoxPort(group []Key, port int) *refusal.Error {
	k, known := (labels{keys: group}).find(knoxPort, Integer, String)
	switch {
	case !known:
		return knoxLacks(knoxPort)
	case k.Type == Integer:
		b[k.Name] = port
	default:
		b[k.Name] = fmt.Sprint(port)
	}
	return nil
}

func (b Bundle) knoxProtocol(group []Key) *refusal.Error {
	k, known := (labels{keys: group}).find(knoxProtocol, Choice)
	if !known {
		return knoxLacks(knoxProtocol)
	}
	value, offered := k.entry(func(label string) bool { return label == knoxSCEP })
	if !offered {
		return knoxLacks(knoxProtocol + ": SCEP")
	}
	b[k.Name] = value
	return nil
}

func (b Bundle) knoxChallenge(group []Key, challenge string) *refusal.Error {
	var found []Key
	for _, k := range group {
		if (k.Type == String || k.Type == Hidden) && strings.Contains(squeeze(k.Title), knoxChallenge) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return knoxLacks(knoxChallenge)
	}
	b[found[0].Name] = challenge
	return nil
}
