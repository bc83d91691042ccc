package profiles

// SMIME is how mail is signed and encrypted.
type SMIME struct {
	Sign    SMIMESign    `yaml:"sign" json:"sign,omitzero"`
	Encrypt SMIMEEncrypt `yaml:"encrypt" json:"encrypt,omitzero"`
}

// SMIMESign is how outgoing mail is signed.
type SMIMESign struct {
	Enabled               bool           `yaml:"enabled" json:"enabled,omitempty"`                                   // outgoing mail is signed
	Identity              IdentitySource `yaml:"identity" json:"identity,omitempty"`                                 // none: the user chooses a certificate, where user_may_change_identity allows it; smime: the user's own S/MIME certificate on record, imported or else issued by our CA; pkcs12: an uploaded file
	PKCS12                string         `yaml:"pkcs12" json:"pkcs12,omitempty"`                                     // name of the secret with the .p12 file, for identity pkcs12
	UserMayChange         bool           `yaml:"user_may_change" json:"user_may_change,omitempty"`                   // the user may switch signing on and off
	UserMayChangeIdentity bool           `yaml:"user_may_change_identity" json:"user_may_change_identity,omitempty"` // the user may choose another certificate to sign with
}

// SMIMEEncrypt is how outgoing mail is encrypted, and with which identity
// incoming mail is decrypted.
type SMIMEEncrypt struct {
	ByDefault             bool           `yaml:"by_default" json:"by_default,omitempty"`                             // outgoing mail is encrypted where the recipient's certificate is known
	Identity              IdentitySource `yaml:"identity" json:"identity,omitempty"`                                 // decrypts what comes in; as for signing. With smime all earlier certificates come along, so that old mail stays readable
	PKCS12                string         `yaml:"pkcs12" json:"pkcs12,omitempty"`                                     // name of the secret with the .p12 file, for identity pkcs12
	UserMayChange         bool           `yaml:"user_may_change" json:"user_may_change,omitempty"`                   // the user may switch encryption by default on and off; needs per_message_switch
	UserMayChangeIdentity bool           `yaml:"user_may_change_identity" json:"user_may_change_identity,omitempty"` // the user may choose another certificate to encrypt with
	PerMessageSwitch      bool           `yaml:"per_message_switch" json:"per_message_switch,omitempty"`             // a lock in the compose window: the user decides for each message
}
