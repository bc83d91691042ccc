package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/profiles"
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
var notKept = map[string]bool{easType: true, "com.apple.mdm": true, "com.apple.security.pkcs12": true}

// notKeptOnTop are keys of a profile that an import leaves out: they would put
// other payloads in the place of the template's, or bind the phone.
var notKeptOnTop = []string{"PayloadContent", "EncryptedPayloadContent", "IsEncrypted", "PayloadRemovalDisallowed"}

// accountKeys are the keys of an account's payload that a field of the template
// writes, and so watches over.
var accountKeys = map[string]string{
	"Host": "host", "SSL": "ssl", "UserName": "user_name", "EmailAddress": "email",
	"Password": "password.secret", "OverridePreviousPassword": "override_previous_password",
	"Certificate": "pkcs12", "CertificateName": "pkcs12", "CertificatePassword": "pkcs12",
	"OAuth": "oauth.enabled", "OAuthSignInURL": "oauth.sign_in_url", "OAuthTokenRequestURL": "oauth.token_url",
	"PreventMove": "prevent_move", "PreventAppSheet": "block_non_mail_apps",
	"disableMailRecentsSyncing": "disable_recents_sync", "allowMailDrop": "allow_mail_drop",
	"MailNumberOfPastDaysToSync": "days_to_keep_offline",
	"EnableMail":                 "sync.mail.enabled", "EnableMailUserOverridable": "sync.mail.locked",
	"EnableContacts": "sync.contacts.enabled", "EnableContactsUserOverridable": "sync.contacts.locked",
	"EnableCalendars": "sync.calendar.enabled", "EnableCalendarsUserOverridable": "sync.calendar.locked",
	"EnableReminders": "sync.reminders.enabled", "EnableRemindersUserOverridable": "sync.reminders.locked",
	"EnableNotes": "sync.notes.enabled", "EnableNotesUserOverridable": "sync.notes.locked",
	"SMIMESigningEnabled": "smime.sign.enabled", "SMIMESigningUserOverrideable": "smime.sign.user_may_change",
	"SMIMESigningCertificateUUIDUserOverrideable": "smime.sign.user_may_change_identity",
	"SMIMEEncryptByDefault":                       "smime.encrypt.by_default", "SMIMEEncryptByDefaultUserOverrideable": "smime.encrypt.user_may_change",
	"SMIMEEncryptionCertificateUUIDUserOverrideable": "smime.encrypt.user_may_change_identity",
	"SMIMEEnableEncryptionPerMessageSwitch":          "smime.encrypt.per_message_switch",
}

// taken is accountKeys, and those keys that are kept only as long as the account
// says nothing itself: a reference to a kept identity, and rules for calls that
// say more than a template can.
func taken(a profiles.ExchangeAccount, key string, value any) (field string) {
	set := func(is bool, field string) string {
		if is {
			return field
		}
		return ""
	}
	uses := func(source profiles.IdentitySource) bool { return source != "" && source != profiles.IdentityNone }
	switch key {
	case "PayloadCertificateUUID":
		return set(uses(a.Identity), "identity")
	case "SMIMESigningCertificateUUID":
		return set(uses(a.SMIME.Sign.Identity), "smime.sign.identity")
	case "SMIMEEncryptionCertificateUUID":
		return set(uses(a.SMIME.Encrypt.Identity), "smime.encrypt.identity")
	case "CommunicationServiceRules":
		return set(a.AudioCallApp != "" || audioCall(value) != "", "audio_call_app")
	}
	return accountKeys[key]
}

// checkKept refuses, when a template is saved, what could be rendered for nobody,
// and what would pass by the rules of the template's own fields.
func checkKept(text string, accounts []profiles.ExchangeAccount) refusal.List {
	k, refused := parseKept(text)
	if refused != nil {
		return refusal.List{refused}
	}
	for _, key := range notKeptOnTop {
		if _, own := k.profile[key]; own {
			return refusal.List{refuseKeptKey(key)}
		}
	}
	for _, f := range k.payloads {
		if notKept[strings.ToLower(strings.TrimSpace(f.PayloadType))] {
			return refusal.List{refuseKeptKey(f.PayloadType)}
		}
	}
	if len(k.accounts) > len(accounts) {
		return refusal.List{refuseKept(fmt.Sprintf("keeps keys of %d accounts, the template has %d", len(k.accounts), len(accounts)))}
	}
	if list := k.checkAccounts(accounts); len(list) > 0 {
		return list
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

func (k kept) checkAccounts(accounts []profiles.ExchangeAccount) refusal.List {
	var list refusal.List
	for i, dict := range k.accounts {
		for _, key := range slices.Sorted(maps.Keys(dict)) {
			if field := taken(accounts[i], key, dict[key]); field != "" {
				list.Add(refusal.New(ErrInvalid, "kept", fmt.Sprintf("holds the key %s for accounts[%d], past the rules of the field that stands for it", key, i),
					fmt.Sprintf("remove it from kept, and use %s%s", accountPath(i), field)))
			}
		}
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
