package templates

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/profiles/mobileconfig"
)

// kept is the form of Spec.Kept: an XML property list with up to three keys.
// Profile is a dictionary of top-level keys, Payloads an array of whole payloads
// with their own identifiers, Accounts an array of one dictionary for each
// account, in the template's order, with further keys of its payload. No
// variable is expanded in any of it, and none of it may be a secret: those have
// a place where they are sealed.
type kept struct {
	profile  map[string]any
	payloads []mobileconfig.Foreign
	accounts []map[string]any
}

// parseKept reads Spec.Kept; the empty text keeps nothing.
func parseKept(text string) (kept, *refusal.Error) {
	if text == "" {
		return kept{}, nil
	}
	tree, err := mobileconfig.Decode([]byte(text))
	if err != nil {
		return kept{}, refuseKept("cannot be read as an XML property list")
	}
	var k kept
	for key, value := range tree {
		ok := false
		switch key {
		case "Profile":
			k.profile, ok = value.(map[string]any)
		case "Payloads":
			k.payloads, ok = keptPayloads(value)
		case "Accounts":
			k.accounts, ok = dictionaries(value)
		}
		if !ok {
			return kept{}, refuseKeptKey(key)
		}
	}
	return k, nil
}

func refuseKeptKey(key string) *refusal.Error {
	return refuseKept(fmt.Sprintf("has the key %.64q, or a value of it, that an import does not write", key))
}

func refuseKept(reason string) *refusal.Error {
	return refusal.New(ErrInvalid, "kept", reason, "leave kept as the import wrote it, or remove it")
}

func dictionaries(value any) ([]map[string]any, bool) {
	items, ok := value.([]any)
	if !ok {
		return nil, false
	}
	list := make([]map[string]any, 0, len(items))
	for _, item := range items {
		dict, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		list = append(list, dict)
	}
	return list, true
}

func keptPayloads(value any) ([]mobileconfig.Foreign, bool) {
	dicts, ok := dictionaries(value)
	if !ok {
		return nil, false
	}
	list := make([]mobileconfig.Foreign, 0, len(dicts))
	for _, dict := range dicts {
		list = append(list, foreign(dict))
	}
	return list, true
}

// foreign takes a whole payload apart. Keys of a wrong type come out empty,
// which the profile's own validation refuses.
func foreign(dict map[string]any) mobileconfig.Foreign {
	f := mobileconfig.Foreign{Keys: map[string]any{}}
	heads := map[string]*string{
		"PayloadType": &f.PayloadType, "PayloadIdentifier": &f.Identifier, "PayloadUUID": &f.UUID,
		"PayloadDisplayName": &f.DisplayName, "PayloadDescription": &f.Description, "PayloadOrganization": &f.Organization,
	}
	for key, value := range dict {
		if head, ok := heads[key]; ok {
			*head, _ = value.(string)
		} else if key != "PayloadVersion" {
			f.Keys[key] = value
		}
	}
	f.UUID = strings.ToUpper(f.UUID)
	return f
}

// notKept are payloads that an import turns into accounts, or leaves out. As
// kept ones they would pass by every rule of a template.
var notKept = map[string]bool{easType: true, "com.apple.mdm": true}

// checkKept refuses, when a template is saved, what could be rendered for nobody.
func checkKept(text string, accounts int) refusal.List {
	k, refused := parseKept(text)
	if refused != nil {
		return refusal.List{refused}
	}
	if _, own := k.profile["PayloadContent"]; own {
		return refusal.List{refuseKeptKey("PayloadContent")}
	}
	for _, f := range k.payloads {
		if notKept[f.PayloadType] {
			return refusal.List{refuseKeptKey(f.PayloadType)}
		}
	}
	if len(k.accounts) > accounts {
		return refusal.List{refuseKept(fmt.Sprintf("keeps keys of %d accounts, the template has %d", len(k.accounts), accounts))}
	}
	if text == "" {
		return nil
	}
	p := mobileconfig.Profile{Identifier: IdentifierPrefix + "sample"}
	k.addTo(&p)
	for i := range k.accounts {
		e := mobileconfig.EAS{Host: "host", UserName: "user", Email: "email", Kept: k.accounts[i]}
		e.Identifier, e.UUID = fmt.Sprintf("sample.%d", i), mobileconfig.UUID("sample", fmt.Sprint(i))
		p.Payloads = append(p.Payloads, e)
	}
	if p.Secret() {
		return refusal.List{refusal.New(ErrInvalid, "kept", "holds a password or a private key", "remove it, and upload it with: sallyport secret set")}
	}
	var list refusal.List
	for _, e := range refusal.All(p.Validate()) {
		if len(p.Payloads) == 0 && e.Field == "PayloadContent" {
			continue
		}
		list.Add(refuseKept(e.Field + ": " + e.Reason))
	}
	return list
}

// addTo gives back the top-level keys and the payloads. The payloads of ours are
// in p already: theirs come after.
func (k kept) addTo(p *mobileconfig.Profile) {
	p.Kept = k.profile
	for _, f := range k.payloads {
		p.Payloads = append(p.Payloads, f)
	}
}

// account returns what is kept of one account.
func (k kept) account(i int) map[string]any {
	if i < len(k.accounts) {
		return k.accounts[i]
	}
	return nil
}

// types are the types of the kept payloads, sorted.
func (k kept) types() []string {
	var types []string
	for _, f := range k.payloads {
		types = append(types, f.PayloadType)
	}
	slices.Sort(types)
	return slices.Compact(types)
}
