package agent

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/url"
	"time"
)

// Snapshot is a phone as its owner sees it in Settings. It holds no secret.
type Snapshot struct {
	Platform    string `json:"platform"` // "iphone" or "android"
	State       Stage  `json:"state"`
	Server      string `json:"server,omitempty"` // host of the management
	Topic       string `json:"topic,omitempty"`
	Rights      int    `json:"rights,omitempty"` // of the management (AccessRights)
	UDID        string `json:"udid"`
	Serial      string `json:"serial"`
	EASDeviceID string `json:"eas_device_id"`
	Product     string `json:"product"`
	Name        string `json:"name"`
	OSVersion   string `json:"os_version"`
	Build       string `json:"build"`
	Passcode    bool   `json:"passcode"`
	Supervised  bool   `json:"supervised"`
	Locked      bool   `json:"locked"`
	LockMessage string `json:"lock_message,omitempty"` // on the lock screen, with the number to call
	LockNumber  string `json:"lock_number,omitempty"`
	// AccountsFixed: accounts may not be changed on this phone.
	AccountsFixed bool   `json:"accounts_fixed,omitempty"`
	Awaiting      bool   `json:"awaiting_configuration,omitempty"`
	Clock         string `json:"clock,omitempty"` // by which its clock is wrong

	Profiles     []ShownProfile     `json:"profiles"`
	Accounts     []ShownAccount     `json:"accounts"`
	Certificates []ShownCertificate `json:"certificates"`
	// Recreated counts accounts that were made anew instead of changed in
	// place: each time all mail was downloaded again.
	Recreated int `json:"accounts_recreated"`

	// AccountsMade counts managed accounts that were made, anew too; Prompts how
	// often the owner was asked for a password or a sign-in; Refused the messages
	// to the management that were refused. Like the three below they are never reset.
	AccountsMade int `json:"accounts_made"`
	Prompts      int `json:"prompts"`
	Refused      int `json:"refused"`

	// Executed are the commands that the phone carried out or refused for good,
	// oldest first; Executions counts them all, and ExecutedTwice those that the
	// server sent again after they had been carried out. None of the three is
	// reset, whatever happens to the phone.
	Executed      []Execution `json:"executed"`
	Executions    int         `json:"executions"`
	ExecutedTwice int         `json:"executed_twice"`
	Erasures      int         `json:"erasures"`        // times that EraseDevice was carried out
	Script        Script      `json:"script,omitzero"` // what is left of it

	Android *ShownAndroid `json:"android,omitempty"` // nil: an iPhone
}

// ShownProfile is an installed profile.
type ShownProfile struct {
	Identifier  string   `json:"identifier"`
	UUID        string   `json:"uuid"`
	DisplayName string   `json:"display_name,omitempty"`
	Managed     bool     `json:"managed"`
	Encrypted   bool     `json:"encrypted"`
	SignedBy    string   `json:"signed_by,omitempty"`
	Payloads    []string `json:"payloads"` // their types
}

// ShownAccount is an Exchange account.
type ShownAccount struct {
	Name        string `json:"name,omitempty"`
	Email       string `json:"email"`
	User        string `json:"user"`
	Host        string `json:"host"`
	SSL         bool   `json:"ssl"`
	OAuth       bool   `json:"oauth"`
	DaysToSync  int    `json:"days_to_sync"`      // 0: no limit
	Certificate bool   `json:"certificate"`       // signs in with a client certificate
	Password    bool   `json:"password"`          // a password came with the profile
	Profile     string `json:"profile,omitempty"` // empty: made by hand
	// Settings are all keys of the payload but its head and the password.
	Settings map[string]any `json:"settings,omitempty"`
	Updates  int            `json:"updates"`             // times it was changed in place
	App      string         `json:"app,omitempty"`       // Android: whose account it is
	DeviceID string         `json:"device_id,omitempty"` // Android: by which the app is known to the mail server; empty: made up by the app
	// Signs is the certificate that mail of the account is signed with, Decrypts
	// those that mail may be encrypted to, the account's own first, then all others
	// on the phone: SHA-256 each. The phone has their keys, and has tried them.
	Signs    string   `json:"signs,omitempty"`
	Decrypts []string `json:"decrypts,omitempty"`
	// Presents is the certificate that the account shows to its mail server, which the
	// phone has and may use: SHA-256.
	Presents string `json:"presents,omitempty"`
}

// ShownCertificate is a certificate on the phone.
type ShownCertificate struct {
	Subject  string    `json:"subject"`
	UPN      []string  `json:"upn,omitempty"`
	Mail     []string  `json:"mail,omitempty"`
	Identity bool      `json:"identity"`
	NotAfter time.Time `json:"not_after"`
	SHA256   string    `json:"sha256"`
	Profile  string    `json:"profile"`         // Android: package of the app that installed it
	Alias    string    `json:"alias,omitempty"` // Android: of its key
}

// Show tells what is on the phone.
func (p *Phone) Show() (Snapshot, error) {
	end, err := p.begin()
	if err != nil {
		return Snapshot{}, err
	}
	defer end()
	f := p.s.Facts
	shot := Snapshot{
		Platform: "iphone", State: p.s.Stage, UDID: f.UDID, Serial: f.Serial, EASDeviceID: f.EASDeviceID, Product: f.Product, Name: f.Name,
		OSVersion: f.OS, Build: build(f.OS), Passcode: f.Passcode, Supervised: f.Supervised, Locked: f.Locked, Recreated: p.s.Recreated,
		LockMessage: f.LockMessage, LockNumber: f.LockNumber, AccountsFixed: f.AccountsFixed, Awaiting: f.Awaiting,
		Profiles: []ShownProfile{}, Accounts: []ShownAccount{}, Certificates: []ShownCertificate{},
		Executed: append([]Execution{}, p.s.Ledger.Entries...), Executions: p.s.Ledger.Total, ExecutedTwice: p.s.Ledger.Repeated,
		Erasures: p.s.Erasures, Script: p.s.Script,
		AccountsMade: p.s.Counts.Created, Prompts: p.s.Counts.Prompts, Refused: p.s.Counts.Refused,
	}
	if f.Clock != 0 {
		shot.Clock = f.Clock.String()
	}
	if e := p.s.Enrolment; e != nil {
		shot.Topic, shot.Rights = e.Topic, e.Rights
		if u, err := url.Parse(e.ServerURL); err == nil {
			shot.Server = u.Host
		}
	}
	for _, i := range p.s.Profiles {
		shot.Profiles = append(shot.Profiles, i.shown())
	}
	for _, a := range p.s.Accounts {
		shown := ShownAccount{
			Name: a.Name, Email: a.Email, User: a.User, Host: a.Host, SSL: a.SSL, OAuth: a.OAuth, DaysToSync: a.DaysToSync,
			Certificate: a.IdentityRef != "", Password: a.Password, Settings: a.Settings, Profile: a.Profile, Updates: a.Updates,
			App: a.App, DeviceID: a.DeviceID,
		}
		if id := p.s.presents(a); id != nil {
			shown.Presents = fingerprintOf(id.Certificate)
		}
		shot.Accounts = append(shot.Accounts, shown)
	}
	for _, a := range p.s.Authorities {
		shot.addCertificate(a.Certificate, a.Profile, "", false)
	}
	for _, id := range p.s.Identities {
		alias := ""
		if p.s.Android != nil {
			alias = id.UUID
		}
		shot.addCertificate(id.Certificate, id.Profile, alias, true)
	}
	if p.s.Android != nil {
		p.shownAndroid(&shot)
	}
	return shot, p.showMail(&shot)
}

func (i installed) shown() ShownProfile {
	s := ShownProfile{Identifier: i.Identifier, UUID: i.UUID, DisplayName: i.DisplayName, Managed: i.Managed, Encrypted: i.Encrypted}
	if len(i.Signers) > 0 {
		if c, err := x509.ParseCertificate(i.Signers[0]); err == nil {
			s.SignedBy = c.Subject.String()
		}
	}
	for _, ref := range i.Payloads {
		s.Payloads = append(s.Payloads, ref.Type)
	}
	return s
}

func (s *Snapshot) addCertificate(der []byte, owner, alias string, isIdentity bool) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return
	}
	s.Certificates = append(s.Certificates, ShownCertificate{
		Subject: c.Subject.String(), UPN: principalNames(c), Mail: c.EmailAddresses, Identity: isIdentity,
		NotAfter: c.NotAfter.UTC(), SHA256: fingerprintOf(der), Profile: owner, Alias: alias,
	})
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
