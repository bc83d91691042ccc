package profiles

import (
	"cmp"
	"errors"
)

// ErrInvalid says that an account cannot be set up as described; the refusals
// name the fields.
var ErrInvalid = errors.New("invalid mail account")

// Office365Host is where Exchange Online answers, but for sovereign clouds.
const Office365Host = "outlook.office365.com"

// HostType says what kind of server keeps the mailbox.
type HostType string

const (
	OnPremises HostType = "on_premises" // Exchange on premises, SOGo, Z-Push, grommunio: any EAS server with a host name
	Office365  HostType = "office365"   // Exchange Online; host outlook.office365.com unless another is given
)

// IdentitySource says where a certificate of an account comes from, with its
// private key.
type IdentitySource string

const (
	IdentityNone   IdentitySource = "none"
	IdentitySCEP   IdentitySource = "scep"   // to sign in: issued by our own CA when the profile is installed, for a key that never leaves the phone
	IdentityPKCS12 IdentitySource = "pkcs12" // uploaded by an admin
	IdentitySMIME  IdentitySource = "smime"  // for mail: the user's own S/MIME certificate on record, imported or else issued by our CA
)

// ExchangeAccount is one EAS account. In a template its strings may hold
// %variables%; everywhere else they are expanded.
type ExchangeAccount struct {
	Name     string   `yaml:"name" json:"name"`               // shown on the phone as the account's name
	HostType HostType `yaml:"host_type" json:"host_type"`     // kind of server: on_premises is any with a host name of its own, office365 is Exchange Online
	Host     string   `yaml:"host" json:"host,omitempty"`     // name or address, optional :port; no scheme, no path. Required on premises; office365 has outlook.office365.com unless another is given
	UserName string   `yaml:"user_name" json:"user_name"`     // name to sign in with
	Domain   string   `yaml:"domain" json:"domain,omitempty"` // Windows domain, on premises only; the phone signs in as DOMAIN\user, without the backslash where it is empty
	Email    string   `yaml:"email" json:"email"`             // address of the mailbox
	SSL      *bool    `yaml:"ssl" json:"ssl,omitempty"`       // encrypt the connection; always written, since Apple's own default is false

	Password                 *PasswordSource `yaml:"password" json:"password,omitempty"`                                     // where the password comes from; absent: the phone asks. Never with OAuth
	OverridePreviousPassword bool            `yaml:"override_previous_password" json:"override_previous_password,omitempty"` // the password sent replaces the one that the phone has stored
	Identity                 IdentitySource  `yaml:"identity" json:"identity,omitempty"`                                     // where the client certificate comes from: scep is our own CA, pkcs12 an uploaded file
	PKCS12                   string          `yaml:"pkcs12" json:"pkcs12,omitempty"`                                         // name of the secret with the .p12 file, for identity pkcs12
	OAuth                    OAuth           `yaml:"oauth" json:"oauth,omitzero"`

	PreventMove        bool   `yaml:"prevent_move" json:"prevent_move,omitempty"`                 // no move to, reply or forward from another account
	BlockNonMailApps   bool   `yaml:"block_non_mail_apps" json:"block_non_mail_apps,omitempty"`   // other apps cannot send with this account
	DisableRecentsSync bool   `yaml:"disable_recents_sync" json:"disable_recents_sync,omitempty"` // keeps addresses of recent mail out of iCloud
	AllowMailDrop      bool   `yaml:"allow_mail_drop" json:"allow_mail_drop,omitempty"`           // large attachments may go through Apple's Mail Drop
	AudioCallApp       string `yaml:"audio_call_app" json:"audio_call_app,omitempty"`             // bundle identifier of the default app for audio calls to people of this account
	SMIME              SMIME  `yaml:"smime" json:"smime,omitzero"`
	Sync               Sync   `yaml:"sync" json:"sync,omitzero"`
	DaysToKeepOffline  *int   `yaml:"days_to_keep_offline" json:"days_to_keep_offline,omitempty"` // days of mail on the phone, 0 for all; absent: the phone's own, 7
}

// PasswordSource says where an account's password comes from.
type PasswordSource struct {
	Secret string `yaml:"secret" json:"secret"` // name of a sealed secret
}

// WithDefaults fills what an admin may leave out. Exchange Online gets its host
// and OAuth. The defaults of user name and email are variables: in a template
// they are expanded for each user.
func (a ExchangeAccount) WithDefaults() ExchangeAccount {
	a.HostType = cmp.Or(a.HostType, OnPremises)
	if a.HostType == Office365 {
		a.Host = cmp.Or(a.Host, Office365Host)
		if a.OAuth.Enabled == nil {
			modern := true
			a.OAuth.Enabled = &modern
		}
	}
	a.UserName = cmp.Or(a.UserName, "%upn%")
	a.Email = cmp.Or(a.Email, "%email%")
	if a.SSL == nil {
		encrypted := true
		a.SSL = &encrypted
	}
	a.Identity = cmp.Or(a.Identity, IdentityNone)
	return a
}

// Login is the name to sign in with: DOMAIN\user, or the user name alone where
// there is no domain.
func (a ExchangeAccount) Login() string {
	if a.Domain == "" {
		return a.UserName
	}
	return a.Domain + `\` + a.UserName
}

// UsesSSL reports whether the connection is encrypted; it is unless SSL says false.
func (a ExchangeAccount) UsesSSL() bool { return a.SSL == nil || *a.SSL }
