package profiles

// SMIME is how mail is signed and encrypted.
type SMIME struct {
	Sign    SMIMESign    `yaml:"sign" json:"sign,omitzero"`
	Encrypt SMIMEEncrypt `yaml:"encrypt" json:"encrypt,omitzero"`
}

// SMIMESign is how outgoing mail is signed.
type SMIMESign struct {
	Enabled               bool           `yaml:"enabled" json:"enabled,omitempty"`
	Identity              IdentitySource `yaml:"identity" json:"identity,omitempty"`
	PKCS12                string         `yaml:"pkcs12" json:"pkcs12,omitempty"`                   // name of the secret
	UserMayChange         bool           `yaml:"user_may_change" json:"user_may_change,omitempty"` // the switch
	UserMayChangeIdentity bool           `yaml:"user_may_change_identity" json:"user_may_change_identity,omitempty"`
}

// SMIMEEncrypt is how outgoing mail is encrypted, and with which identity
// incoming mail is decrypted.
type SMIMEEncrypt struct {
	ByDefault             bool           `yaml:"by_default" json:"by_default,omitempty"`
	Identity              IdentitySource `yaml:"identity" json:"identity,omitempty"`
	PKCS12                string         `yaml:"pkcs12" json:"pkcs12,omitempty"`
	UserMayChange         bool           `yaml:"user_may_change" json:"user_may_change,omitempty"`
	UserMayChangeIdentity bool           `yaml:"user_may_change_identity" json:"user_may_change_identity,omitempty"`
	PerMessageSwitch      bool           `yaml:"per_message_switch" json:"per_message_switch,omitempty"` // a lock in the compose window
}
