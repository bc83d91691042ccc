package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Stage is how far a phone has come with its enrolment.
type Stage string

const (
	StageNone          Stage = "not enrolled"
	StageProfile       Stage = "profile accepted" // verified and kept; no certificate yet
	StageIdentity      Stage = "identity issued"  // certificate installed; the server has not seen it
	StageAuthenticated Stage = "authenticated"    // Authenticate accepted; TokenUpdate is next
	StageEnrolled      Stage = "enrolled"         // managed
	stateVersion             = 1                  // of the file's layout
	stateFile                = "phone.json"       // everything but keys
	keyFolder                = "keys"             // one PEM file a key, 0600
	lockFile                 = "lock"             // held while an operation runs
)

// state is all that a phone remembers. The file holds a spent challenge and
// push secrets, so it is readable by its owner only.
type state struct {
	Version     int                    `json:"version"`
	Facts       facts                  `json:"facts"`
	Stage       Stage                  `json:"stage"`
	Trusted     [][]byte               `json:"trusted,omitempty"` // roots that the owner trusts by hand
	Enrolment   *enrolment             `json:"enrolment,omitempty"`
	Pending     map[string]transaction `json:"pending,omitempty"` // SCEP requests without a reply yet
	Answer      []byte                 `json:"answer,omitempty"`  // a command's result that the server may not have got
	Profiles    []installed            `json:"profiles,omitempty"`
	Accounts    []account              `json:"accounts,omitempty"`
	Identities  []identity             `json:"identities,omitempty"`
	Authorities []authority            `json:"authorities,omitempty"`
	Mailboxes   []string               `json:"mailboxes,omitempty"` // every mailbox that ever had a managed account
	Recreated   int                    `json:"recreated,omitempty"` // accounts made anew, with all mail downloaded again
	Ending      string                 `json:"ending,omitempty"`    // what a command started, once Answer is delivered: endLeft, endErased
	TokenDue    bool                   `json:"token_due,omitempty"` // the push token changed: TokenUpdate comes first
	Held        [][]byte               `json:"held,omitempty"`      // results that a script keeps back
	Script      Script                 `json:"script,omitzero"`
	Ledger      ledger                 `json:"ledger,omitzero"`
	Erasures    int                    `json:"erasures,omitempty"`
	Counts      counts                 `json:"counts,omitzero"`
	Android     *android               `json:"android,omitempty"` // nil: an iPhone
}

// facts are what a phone is, and what its owner can change.
type facts struct {
	UDID        string `json:"udid"`
	Serial      string `json:"serial"`
	EASDeviceID string `json:"eas_device_id"`
	IMEI        string `json:"imei"`
	Product     string `json:"product"`
	Name        string `json:"name"`
	OS          string `json:"os"`
	Passcode    bool   `json:"passcode"`
	Supervised  bool   `json:"supervised"`
	Locked      bool   `json:"locked"`
	LockMessage string `json:"lock_message,omitempty"` // on the lock screen
	LockNumber  string `json:"lock_number,omitempty"`
	Awaiting    bool   `json:"awaiting,omitempty"` // the set-up assistant waits for DeviceConfigured
	// AccountsFixed: a restriction from elsewhere forbids to change accounts.
	AccountsFixed bool          `json:"accounts_fixed,omitempty"`
	Clock         time.Duration `json:"clock,omitempty"` // by which its clock is wrong
}

// enrolment is the management that a phone is under, or about to be.
type enrolment struct {
	Source      string `json:"source"`            // SHA-256 of the invitation's URL, to know it again
	Profile     []byte `json:"profile,omitempty"` // as downloaded: CMS, DER; until it is installed
	Identifier  string `json:"identifier"`
	Topic       string `json:"topic"`
	ServerURL   string `json:"server_url"`
	CheckInURL  string `json:"check_in_url"`
	Rights      int    `json:"rights"`
	CheckOut    bool   `json:"check_out"`
	IdentityRef string `json:"identity"` // PayloadUUID of the SCEP payload
	PushToken   []byte `json:"push_token"`
	PushMagic   string `json:"push_magic"`
	UnlockToken []byte `json:"unlock_token,omitempty"`
}

// installed is a configuration profile on the phone.
type installed struct {
	Identifier   string       `json:"identifier"`
	UUID         string       `json:"uuid"`
	DisplayName  string       `json:"display_name,omitempty"`
	Description  string       `json:"description,omitempty"`
	Organization string       `json:"organization,omitempty"`
	NoRemoval    bool         `json:"no_removal,omitempty"`
	Encrypted    bool         `json:"encrypted,omitempty"`
	Managed      bool         `json:"managed"` // came by MDM
	Signers      [][]byte     `json:"signers,omitempty"`
	Payloads     []payloadRef `json:"payloads"`
	ForcePIN     bool         `json:"force_pin,omitempty"` // a passcode policy asks for a passcode
	At           time.Time    `json:"at"`

	Restrictions map[string]bool `json:"restrictions,omitempty"`
}

// payloadRef names one payload of an installed profile.
type payloadRef struct {
	Type         string `json:"type"`
	Identifier   string `json:"identifier"`
	UUID         string `json:"uuid"`
	DisplayName  string `json:"display_name,omitempty"`
	Description  string `json:"description,omitempty"`
	Organization string `json:"organization,omitempty"`
}

// account is an Exchange account in Settings. Profile is empty for one that
// the owner added by hand.
type account struct {
	Profile     string `json:"profile,omitempty"`
	Payload     string `json:"payload,omitempty"`
	UUID        string `json:"uuid,omitempty"`
	Name        string `json:"name,omitempty"`
	Email       string `json:"email"`
	User        string `json:"user"`
	Host        string `json:"host"`
	SSL         bool   `json:"ssl"`
	OAuth       bool   `json:"oauth,omitempty"`
	DaysToSync  int    `json:"days_to_sync"`
	IdentityRef string `json:"identity,omitempty"`
	Password    bool   `json:"password,omitempty"`  // one came with the profile; it is not kept
	Settings    dict   `json:"settings,omitempty"`  // the payload's keys but its head and the password
	Updates     int    `json:"updates,omitempty"`   // changed in place
	App         string `json:"app,omitempty"`       // Android: the app whose account it is; Profile is its package
	DeviceID    string `json:"device_id,omitempty"` // Android: by which the app is known to the mail server
}

// identity is a certificate with its private key.
type identity struct {
	Profile     string   `json:"profile"` // PayloadIdentifier of the profile that brought it
	UUID        string   `json:"uuid"`    // PayloadUUID of the payload that brought it
	Key         string   `json:"key"`     // name of the key file, which signs messages and opens profiles
	Certificate []byte   `json:"certificate"`
	Chain       [][]byte `json:"chain,omitempty"`    // from its issuer up, without the root
	MailKey     string   `json:"mail_key,omitempty"` // name of the key file of a PKCS#12 file, which is for mail; Key is empty then
}

// authority is a CA certificate that a profile brought.
type authority struct {
	Profile     string `json:"profile"`
	UUID        string `json:"uuid"`
	Certificate []byte `json:"certificate"`
}

// disk keeps a phone's state and keys in a directory; without one, in memory.
type disk struct {
	dir  string
	keys map[string][]byte // PKCS#8 DER, when dir is empty
	file []byte            // phone.json, when dir is empty
	pool *KeyPool          // nil: keys of its own
}

// load returns nil without error when there is no phone yet.
func (d *disk) load() (*state, error) {
	data := d.file
	if d.dir != "" {
		var err error
		data, err = os.ReadFile(filepath.Join(d.dir, stateFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read phone: %w", err)
		}
	}
	if data == nil {
		return nil, nil
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read phone %s: %w", filepath.Join(d.dir, stateFile), err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("read phone: layout %d is not known to this program", s.Version)
	}
	return &s, nil
}

func (d *disk) save(s *state) error {
	if d.dir == "" {
		data, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("save phone: %w", err)
		}
		d.file = data
		return nil
	}
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return fmt.Errorf("save phone: %w", err)
	}
	if err := writeAtomic(filepath.Join(d.dir, stateFile), append(data, '\n')); err != nil {
		return fmt.Errorf("save phone: %w", err)
	}
	return nil
}

// writeAtomic leaves either the old file or the new one, whatever happens in
// between: a temporary file in the same folder, synced, then renamed.
func writeAtomic(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
