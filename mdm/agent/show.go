package agent

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Snapshot is a phone as its owner sees it in Settings. It holds no secret.
type Snapshot struct {
	Platform    string `json:"platform"` // "iphone"
	State       Stage  `json:"state"`
	Server      string `json:"server,omitempty"` // host of the management
	Topic       string `json:"topic,omitempty"`
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

	Profiles     []ShownProfile     `json:"profiles"`
	Accounts     []ShownAccount     `json:"accounts"`
	Certificates []ShownCertificate `json:"certificates"`
	// Recreated counts accounts that were made anew instead of changed in
	// place: each time all mail was downloaded again.
	Recreated int `json:"accounts_recreated"`
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
	Updates  int            `json:"updates"` // times it was changed in place
}

// ShownCertificate is a certificate on the phone.
type ShownCertificate struct {
	Subject  string    `json:"subject"`
	UPN      []string  `json:"upn,omitempty"`
	Mail     []string  `json:"mail,omitempty"`
	Identity bool      `json:"identity"`
	NotAfter time.Time `json:"not_after"`
	SHA256   string    `json:"sha256"`
	Profile  string    `json:"profile"`
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
		Profiles: []ShownProfile{}, Accounts: []ShownAccount{}, Certificates: []ShownCertificate{},
	}
	if e := p.s.Enrolment; e != nil {
		shot.Topic = e.Topic
		if u, err := url.Parse(e.ServerURL); err == nil {
			shot.Server = u.Host
		}
	}
	for _, i := range p.s.Profiles {
		shot.Profiles = append(shot.Profiles, i.shown())
	}
	for _, a := range p.s.Accounts {
		shot.Accounts = append(shot.Accounts, ShownAccount{
			Name: a.Name, Email: a.Email, User: a.User, Host: a.Host, SSL: a.SSL, OAuth: a.OAuth, DaysToSync: a.DaysToSync,
			Certificate: a.IdentityRef != "", Password: a.Password, Settings: a.Settings, Profile: a.Profile, Updates: a.Updates,
		})
	}
	for _, a := range p.s.Authorities {
		shot.addCertificate(a.Certificate, a.Profile, false)
	}
	for _, id := range p.s.Identities {
		shot.addCertificate(id.Certificate, id.Profile, true)
	}
	return shot, nil
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

func (s *Snapshot) addCertificate(der []byte, owner string, isIdentity bool) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return
	}
	sum := sha256.Sum256(der)
	s.Certificates = append(s.Certificates, ShownCertificate{
		Subject: c.Subject.String(), UPN: principalNames(c), Mail: c.EmailAddresses, Identity: isIdentity,
		NotAfter: c.NotAfter.UTC(), SHA256: hex.EncodeToString(sum[:]), Profile: owner,
	})
}

var osVersion = regexp.MustCompile(`^[1-9][0-9]?(\.[0-9]{1,2}){0,2}$`)

// Set changes facts of the phone as its owner would: assignments of the form
// KEY=VALUE with passcode=on|off, os=VERSION, name=TEXT, supervised=yes|no,
// locked=on|off. All of them or none. The server learns of it at the next contact.
func (p *Phone) Set(assignments ...string) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	changed := p.s.Facts
	for _, a := range assignments {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%w: %q is not KEY=VALUE", ErrInvalid, a)
		}
		if err := changed.set(key, value); err != nil {
			return err
		}
	}
	p.s.Facts = changed
	return p.save()
}

func (f *facts) set(key, value string) (err error) {
	switch key {
	case "passcode":
		f.Passcode, err = onOff(key, value)
	case "supervised":
		f.Supervised, err = onOff(key, value)
	case "locked":
		f.Locked, err = onOff(key, value)
	case "os":
		if !osVersion.MatchString(value) {
			return fmt.Errorf("%w: os: %q is not a version like 26.1", ErrInvalid, value)
		}
		f.OS = value
	case "name":
		if value == "" || len(value) > 63 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("%w: name: 1 to 63 printable characters", ErrInvalid)
		}
		f.Name = value
	default:
		return fmt.Errorf("%w: %q is not passcode, os, name, supervised or locked", ErrInvalid, key)
	}
	return err
}

func onOff(key, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "on", "yes", "true":
		return true, nil
	case "off", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("%w: %s: %q is neither on nor off", ErrInvalid, key, value)
}

// AddAccount adds an Exchange account by hand, as the owner may in Settings.
// A managed account for the same mailbox is then refused by the phone.
func (p *Phone) AddAccount(email, user, host string) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	a := account{Name: email, Email: email, User: user, Host: host, SSL: true, DaysToSync: 7}
	if slices.ContainsFunc(p.s.Accounts, func(have account) bool { return have.mailbox() == a.mailbox() }) {
		return fmt.Errorf("%w: the account is on the phone already", ErrInvalid)
	}
	p.s.Accounts = append(p.s.Accounts, a)
	return p.save()
}
