package templates

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/bounded"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
	"sallyport/profiles/mobileconfig"
)

// Imported is a template made from somebody's profile. It is a proposal: nobody
// is assigned, and Suggestions say what to look at before it is applied.
type Imported struct {
	Spec   Spec   `json:"spec"`
	Source string `json:"source"` // the template in YAML
	// Signer is the Subject of the certificate that signed the profile; empty
	// when nobody did. Whether it is to be trusted was not asked.
	Signer      string       `json:"signer,omitempty"`
	Suggestions []Suggestion `json:"suggestions"`
}

// Suggestion is one thing that an importer cannot decide for an admin.
type Suggestion struct {
	Field string `json:"field,omitempty"` // path in the template
	Text  string `json:"text"`
	Was   string `json:"was,omitempty"` // the value in the profile, never a secret
	Now   string `json:"now,omitempty"` // what the template says in its place
	// Command is what to type to bring along what a template cannot hold.
	Command string `json:"command,omitempty"`
	// Needed says that the template is refused until this is done.
	Needed bool `json:"needed,omitempty"`
}

// Import makes a template of an Apple configuration profile, signed or not.
// Known Exchange keys become settings. Values of one user become variables:
// those that are owner's, or by their form where owner is nil. Keys and payloads
// that are not known are kept and given back unchanged. Secrets are left out:
// Suggestions name the command that seals them. ErrInvalid says why a file is no
// profile with mail accounts.
func Import(data []byte, owner *directory.User) (Imported, error) {
	profile, signer, err := openProfile(data)
	if err != nil {
		return Imported{}, err
	}
	im := newImporter(profile, owner)
	if err := im.run(); err != nil {
		return Imported{}, err
	}
	im.out.Signer = signer
	return im.finish()
}

// openProfile takes the signature off, if there is one, and reads the tree.
func openProfile(data []byte) (profile map[string]any, signer string, err error) {
	opened, err := mobileconfig.Inspect(data, nil, nil)
	switch {
	case errors.Is(err, mobileconfig.ErrNotProfile):
		return nil, "", refuseImport("is neither an XML property list nor a signed profile", "give a .mobileconfig file; a template needs no import: sallyport profile lint FILE checks one")
	case errors.Is(err, bounded.ErrTooLarge):
		return nil, "", refuseImport(fmt.Sprintf("is longer than %d bytes", bounded.MaxPlist), "take large payloads, such as fonts, out of it")
	case errors.Is(err, cms.ErrSignature), errors.Is(err, cms.ErrMalformed):
		return nil, "", refuseImport("is signed in a form that cannot be opened, or was changed after it was signed", "export it again, or take the unsigned profile")
	case errors.Is(err, bounded.ErrForbidden):
		return nil, "", refuseImport("is a binary property list, or declares entities", "plutil -convert xml1 FILE makes XML of it")
	case err != nil:
		return nil, "", refuseImport("is not an XML property list", "give a .mobileconfig file")
	case opened.Dict["PayloadType"] != "Configuration":
		return nil, "", refuseImport("is a property list, but not a configuration profile", "its PayloadType would be Configuration")
	case opened.Encrypted:
		return nil, "", refuseImport("is encrypted to one device", "take the profile as it was before that")
	}
	if opened.Signed {
		signer = cmp.Or(opened.Signer.Subject.String(), "a certificate without a name")
	}
	return opened.Dict, signer, nil
}

func refuseImport(reason, remedy string) error {
	return refusal.List{refusal.New(ErrInvalid, "profile", reason, remedy)}
}

// importer walks a profile once.
type importer struct {
	profile  map[string]any
	owner    *directory.User
	payloads []map[string]any
	used     map[string]bool   // UUIDs of identity payloads that became a setting
	sealed   map[string]string // UUID of a PKCS#12 payload to the name of its secret
	out      Imported
	kept     keptTree
}

// keptTree becomes Spec.Kept: see kept.
type keptTree struct {
	profile  map[string]any
	accounts []map[string]any
	payloads []map[string]any
}

func newImporter(profile map[string]any, owner *directory.User) *importer {
	return &importer{profile: profile, owner: owner, used: map[string]bool{}, sealed: map[string]string{}, kept: keptTree{profile: map[string]any{}}}
}

func (im *importer) run() error {
	content, _ := im.profile["PayloadContent"].([]any)
	for i, item := range content {
		payload, ok := item.(map[string]any)
		if !ok || asString(payload["PayloadType"]) == "" {
			return refuseImport(fmt.Sprintf("has a payload %d without a type", i+1), "repair the profile")
		}
		im.payloads = append(im.payloads, payload)
	}
	im.head()
	for _, payload := range im.payloads {
		if payload["PayloadType"] == easType {
			im.account(payload)
		}
	}
	if len(im.out.Spec.Accounts) == 0 {
		return refuseImport("has no Exchange ActiveSync account", "a template is made of those; other payloads come along with one only")
	}
	for i, payload := range im.payloads {
		im.other(i, payload)
	}
	return nil
}

const easType = "com.apple.eas.account"

func asString(v any) string { s, _ := v.(string); return s }

// head takes what the profile says of itself.
func (im *importer) head() {
	title := asString(im.profile["PayloadDisplayName"])
	im.out.Spec.Name = slug(title)
	im.out.Spec.DisplayName = im.text("display_name", title)
	for key, value := range im.profile {
		switch {
		case key == "PayloadRemovalDisallowed" && value == true:
			im.suggest(Suggestion{Field: "kept", Text: "the profile forbids its removal; profiles that arrive by MDM cannot be removed by hand anyway, so that is left out"})
		case headKeys[key], slices.Contains(notKeptOnTop, key):
		default:
			im.kept.profile[key] = value
		}
	}
	im.suggest(Suggestion{Field: "assign", Text: "nobody is assigned yet; name groups or users, or everyone"})
}

// headKeys are those that every payload has; the renderer writes its own.
var headKeys = map[string]bool{
	"PayloadType": true, "PayloadVersion": true, "PayloadIdentifier": true, "PayloadUUID": true,
	"PayloadDisplayName": true, "PayloadDescription": true, "PayloadOrganization": true,
}

func (im *importer) suggest(s Suggestion) { im.out.Suggestions = append(im.out.Suggestions, s) }

// other keeps a payload that is neither an account nor an identity of one.
func (im *importer) other(position int, payload map[string]any) {
	kind := asString(payload["PayloadType"])
	switch {
	case kind == easType, im.used[asString(payload["PayloadUUID"])]:
		return
	case kind == "com.apple.mdm":
		im.suggest(Suggestion{Text: "the profile enrols the phone at another server; that payload is left out"})
		return
	case kind == "com.apple.security.pkcs12":
		im.suggest(Suggestion{Text: "a certificate with its private key (" + asString(payload["PayloadDisplayName"]) + ") that no mail account uses is left out: a template holds no keys"})
		return
	}
	whole := im.withoutSecrets(kind, payload)
	if asString(whole["PayloadUUID"]) == "" {
		whole["PayloadUUID"] = mobileconfig.UUID("kept", fmt.Sprint(position), kind)
	}
	if asString(whole["PayloadIdentifier"]) == "" {
		whole["PayloadIdentifier"] = fmt.Sprintf("sallyport.kept.%d", position)
	}
	im.kept.payloads = append(im.kept.payloads, whole)
	im.suggest(Suggestion{Field: "kept", Text: "a payload " + kind + " is kept as it is, the same for every user; a phone gets it with this template"})
}

// withoutSecrets copies a tree and says where it left something out.
func (im *importer) withoutSecrets(kind string, tree map[string]any) map[string]any {
	copied, _ := im.prune(kind, kind, tree).(map[string]any)
	return copied
}

func (im *importer) prune(kind, path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if own := asString(v["PayloadType"]); own != "" {
			kind = own
		}
		copied := make(map[string]any, len(v))
		for key, value := range v {
			if mobileconfig.SecretKey(kind, key, value) {
				im.suggest(Suggestion{Field: "kept", Text: path + "." + key + " is a secret and is left out: a template is not sealed"})
				continue
			}
			copied[key] = im.prune(kind, path+"."+key, value)
		}
		return copied
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = im.prune(kind, path, item)
		}
		return items
	}
	return v
}

var notInSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug makes a template's name of a title.
func slug(title string) string {
	name := strings.Trim(notInSlug.ReplaceAllString(strings.ToLower(title), "-"), "-")
	if len(name) > 63 {
		name = strings.Trim(name[:63], "-")
	}
	return cmp.Or(name, "imported")
}

// finish writes the YAML, reads it as Apply would, and adds what that refuses.
func (im *importer) finish() (Imported, error) {
	if len(im.kept.profile) > 0 {
		im.kept.profile = im.withoutSecrets("Configuration", im.kept.profile)
	}
	im.withoutReferences()
	text, err := im.kept.encode()
	if err != nil {
		return Imported{}, err
	}
	im.sentAsTheyStand(text)
	im.out.Spec.Kept = text
	source, err := yamldoc.Encode(im.out.Spec)
	if err != nil {
		return Imported{}, fmt.Errorf("write imported template: %w", err)
	}
	im.out.Source = string(source)
	spec, err := Parse(source)
	for _, e := range refusal.All(err) {
		im.suggest(Suggestion{Field: e.Field, Text: e.Reason + " (" + e.Remedy + ")", Needed: true})
	}
	if err == nil {
		im.out.Spec = spec
	}
	return im.out, nil
}

func (k keptTree) encode() (string, error) {
	tree := map[string]any{}
	if len(k.profile) > 0 {
		tree["Profile"] = k.profile
	}
	if items := anys(k.payloads); len(items) > 0 {
		tree["Payloads"] = items
	}
	for _, account := range k.accounts {
		if len(account) > 0 {
			tree["Accounts"] = anys(k.accounts)
		}
	}
	if len(tree) == 0 {
		return "", nil
	}
	text, err := mobileconfig.EncodeTree(tree)
	if err != nil {
		return "", fmt.Errorf("write what is kept: %w", err)
	}
	return string(text), nil
}

func anys(dicts []map[string]any) []any {
	items := make([]any, len(dicts))
	for i, dict := range dicts {
		items[i] = dict
	}
	return items
}
