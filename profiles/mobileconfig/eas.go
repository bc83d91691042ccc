package mobileconfig

import (
	"maps"
	"slices"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles"
)

const easType = "com.apple.eas.account"

// EAS sets up an Exchange ActiveSync account in Mail, Contacts and Calendar.
// Keys that are at Apple's default are left out, but for SSL.
// https://developer.apple.com/documentation/devicemanagement/exchangeactivesync
type EAS struct {
	Common
	Host     string // host name or address, optional :port
	UserName string // user, or DOMAIN\user
	Email    string
	SSL      bool // always written: Apple's default is false

	Password                 secret.Value // empty: the phone asks
	PasswordRevision         string       // tells one password from another in TopUUID; needed with Password
	OverridePreviousPassword bool
	// CertificateUUID is the PayloadUUID of the identity payload in the same
	// profile; empty for none.
	CertificateUUID      string
	OAuth                bool
	OAuthSignInURL       string
	OAuthTokenRequestURL string

	PreventMove                bool
	PreventAppSheet            bool
	DisableMailRecentsSyncing  bool
	AllowMailDrop              bool
	AudioCall                  string // bundle identifier
	MailNumberOfPastDaysToSync *int   // 0, 1, 3, 7, 14, 31; nil: the phone's own

	SMIME SMIME
	Sync  profiles.Sync // a switch that says nothing is not written

	// Kept are keys that we do not model, from an imported profile. They are
	// written as they are.
	Kept map[string]any
	// KeptRevision stands in TopUUID for what may be secret in Kept.
	KeptRevision string
}

// SMIME are the S/MIME keys that iOS 12 and later read.
type SMIME struct {
	SigningEnabled                            bool
	SigningCertificateUUID                    string
	SigningUserOverrideable                   bool
	SigningCertificateUUIDUserOverrideable    bool
	EncryptByDefault                          bool
	EncryptByDefaultUserOverrideable          bool
	EncryptionCertificateUUID                 string
	EncryptionCertificateUUIDUserOverrideable bool
	EnableEncryptionPerMessageSwitch          bool
}

// Refs is what an account refers to by name and a profile must hold: the
// PayloadUUIDs of identity payloads in the same profile, and the password.
type Refs struct {
	Identity         string // for signing in
	Signing          string // for S/MIME
	Encryption       string
	Password         secret.Value
	PasswordRevision string // revision of the stored secret, never made from its value
}

// NewEAS writes an expanded account. The account's name becomes the payload's
// display name: the payload has no key of its own for it.
func NewEAS(a profiles.ExchangeAccount, c Common, refs Refs) EAS {
	c.DisplayName = a.Name
	e := EAS{
		Common: c, Host: a.Host, UserName: a.Login(), Email: a.Email, SSL: a.UsesSSL(),
		OverridePreviousPassword: a.OverridePreviousPassword, CertificateUUID: refs.Identity,
		PreventMove: a.PreventMove, PreventAppSheet: a.BlockNonMailApps, DisableMailRecentsSyncing: a.DisableRecentsSync,
		AllowMailDrop: a.AllowMailDrop, AudioCall: a.AudioCallApp, MailNumberOfPastDaysToSync: a.DaysToKeepOffline,
		Sync: a.Sync, SMIME: newSMIME(a.SMIME, refs),
	}
	if a.UsesOAuth() { // the URLs mean nothing without it
		e.OAuth, e.OAuthSignInURL, e.OAuthTokenRequestURL = true, a.OAuth.SignInURL, a.OAuth.TokenURL
	} else {
		e.Password, e.PasswordRevision = refs.Password, refs.PasswordRevision
	}
	return e
}

func newSMIME(s profiles.SMIME, refs Refs) SMIME {
	return SMIME{
		SigningEnabled: s.Sign.Enabled, SigningCertificateUUID: refs.Signing,
		SigningUserOverrideable: s.Sign.UserMayChange, SigningCertificateUUIDUserOverrideable: s.Sign.UserMayChangeIdentity,
		EncryptByDefault: s.Encrypt.ByDefault, EncryptByDefaultUserOverrideable: s.Encrypt.UserMayChange,
		EncryptionCertificateUUID: refs.Encryption, EncryptionCertificateUUIDUserOverrideable: s.Encrypt.UserMayChangeIdentity,
		EnableEncryptionPerMessageSwitch: s.Encrypt.PerMessageSwitch,
	}
}

// Type implements Payload.
func (EAS) Type() string { return easType }

func (e EAS) secret() bool { return !e.Password.IsZero() || holdsSecret(e.Type(), e.Kept) }

func (e EAS) fill(dict map[string]any, m mode) {
	keep(dict, e.Type(), e.Kept, e.KeptRevision, m)
	dict["Host"] = e.Host
	dict["UserName"] = e.UserName
	dict["EmailAddress"] = e.Email
	dict["SSL"] = e.SSL
	hidden(dict, "Password", e.Password, e.PasswordRevision, m)
	text(dict, "PayloadCertificateUUID", e.CertificateUUID)
	text(dict, "OAuthSignInURL", e.OAuthSignInURL)
	text(dict, "OAuthTokenRequestURL", e.OAuthTokenRequestURL)
	toggle(dict, "OAuth", e.OAuth)
	toggle(dict, "OverridePreviousPassword", e.OverridePreviousPassword)
	toggle(dict, "PreventMove", e.PreventMove)
	toggle(dict, "PreventAppSheet", e.PreventAppSheet)
	toggle(dict, "disableMailRecentsSyncing", e.DisableMailRecentsSyncing) // both really begin in lower case
	toggle(dict, "allowMailDrop", e.AllowMailDrop)
	if e.AudioCall != "" {
		dict["CommunicationServiceRules"] = map[string]any{"DefaultServiceHandlers": map[string]any{"AudioCall": e.AudioCall}}
	}
	if e.MailNumberOfPastDaysToSync != nil {
		dict["MailNumberOfPastDaysToSync"] = *e.MailNumberOfPastDaysToSync
	}
	e.SMIME.fill(dict)
	for _, s := range services(e.Sync) {
		if s.Enabled != nil || s.Locked {
			dict[s.key] = s.On()
			dict[s.key+"UserOverridable"] = !s.Locked
		}
	}
}

// fill: these keys are spelled Overrideable, those of the services Overridable.
func (s SMIME) fill(dict map[string]any) {
	toggle(dict, "SMIMESigningEnabled", s.SigningEnabled)
	text(dict, "SMIMESigningCertificateUUID", s.SigningCertificateUUID)
	toggle(dict, "SMIMESigningUserOverrideable", s.SigningUserOverrideable)
	toggle(dict, "SMIMESigningCertificateUUIDUserOverrideable", s.SigningCertificateUUIDUserOverrideable)
	toggle(dict, "SMIMEEncryptByDefault", s.EncryptByDefault)
	toggle(dict, "SMIMEEncryptByDefaultUserOverrideable", s.EncryptByDefaultUserOverrideable)
	text(dict, "SMIMEEncryptionCertificateUUID", s.EncryptionCertificateUUID)
	toggle(dict, "SMIMEEncryptionCertificateUUIDUserOverrideable", s.EncryptionCertificateUUIDUserOverrideable)
	toggle(dict, "SMIMEEnableEncryptionPerMessageSwitch", s.EnableEncryptionPerMessageSwitch)
}

type service struct {
	profiles.Service
	key string
}

func services(s profiles.Sync) []service {
	return []service{
		{s.Mail, "EnableMail"}, {s.Contacts, "EnableContacts"}, {s.Calendar, "EnableCalendars"},
		{s.Reminders, "EnableReminders"}, {s.Notes, "EnableNotes"},
	}
}

// check: no key is required by the schema, but a profile that arrives by MDM
// cannot ask the user for what is missing.
func (e EAS) check() refusal.List {
	path := e.Type() + "."
	var list refusal.List
	list.Add(required(path+"Host", e.Host), required(path+"UserName", e.UserName), required(path+"EmailAddress", e.Email))
	list.Add(texts(path, map[string]string{
		"Host": e.Host, "UserName": e.UserName, "EmailAddress": e.Email, "Password": e.Password.Reveal(),
		"OAuthSignInURL": e.OAuthSignInURL, "OAuthTokenRequestURL": e.OAuthTokenRequestURL, "AudioCall": e.AudioCall,
	})...)
	list.Add(revision(path+"Password", e.Password, e.PasswordRevision))
	if e.OAuth && !e.Password.IsZero() {
		list.Add(refusal.New(ErrInvalid, path+"Password", "is given beside OAuth", "leave one of them away"))
	}
	if d := e.MailNumberOfPastDaysToSync; d != nil && !slices.Contains([]int{0, 1, 3, 7, 14, 31}, *d) {
		list.Add(refusal.New(ErrInvalid, path+"MailNumberOfPastDaysToSync", "is none of the spans that iOS knows", "use 0, 1, 3, 7, 14 or 31"))
	}
	if !slices.ContainsFunc(services(e.Sync), func(s service) bool { return s.On() }) { // EAS error 21009
		list.Add(refusal.New(ErrInvalid, path+"EnableMail", "and all other services are off", "leave one of the five on"))
	}
	return append(list, e.checkKept(path)...)
}

// checkKept refuses keys that we would write too: one of both would be lost.
func (e EAS) checkKept(path string) refusal.List {
	if len(e.Kept) == 0 {
		return nil
	}
	list := keepable(path, e.Kept)
	if e.KeptRevision == "" && holdsSecret(e.Type(), e.Kept) {
		list.Add(refusal.New(ErrInvalid, path+"Kept", "hold a secret without a revision", "give the revision of what was imported"))
	}
	ours := map[string]any{}
	bare := e
	bare.Kept = nil
	bare.fill(ours, sent)
	for _, key := range slices.Sorted(maps.Keys(e.Kept)) {
		if _, ok := ours[key]; ok {
			list.Add(refusal.New(ErrInvalid, path+key, "is among the kept keys and a setting of the account as well", "remove it from what is kept"))
		}
	}
	return list
}

func (e EAS) references() map[string]string {
	refs := map[string]string{
		"PayloadCertificateUUID":         e.CertificateUUID,
		"SMIMESigningCertificateUUID":    e.SMIME.SigningCertificateUUID,
		"SMIMEEncryptionCertificateUUID": e.SMIME.EncryptionCertificateUUID,
	}
	for key, value := range e.Kept {
		if uuid, ok := value.(string); ok && strings.HasSuffix(key, "CertificateUUID") {
			refs[key] = uuid
		}
	}
	return refs
}
