package agent

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Kind is what a phone in software is a phone of.
type Kind string

const (
	IPhone  Kind = "iphone"
	Android Kind = "android"
)

// android is what an Android phone remembers besides what every phone does. It
// is managed by Android Device Policy, which talks to Google alone: here, to the
// stand-in at API.
type android struct {
	API          string `json:"api,omitempty"`
	Hardware     string `json:"hardware"` // the same for ever
	Brand        string `json:"brand"`
	Manufacturer string `json:"manufacturer"`
	// Company: it belongs to a company. The truth about who bought it, which
	// Google guesses from the way in which it was enrolled.
	Company   bool              `json:"company,omitempty"`
	Fresh     bool              `json:"fresh,omitempty"` // at the first screen after a factory reset
	Weak      bool              `json:"weak,omitempty"`  // the passcode is of low complexity
	Plain     bool              `json:"plain,omitempty"` // its storage is not encrypted
	Posture   string            `json:"posture,omitempty"`
	Risks     []string          `json:"risks,omitempty"`
	Stale     bool              `json:"stale,omitempty"`     // it takes no new policy
	Apps      map[string]string `json:"apps,omitempty"`      // package: what is wrong with it
	Scripted  []detail          `json:"scripted,omitempty"`  // that it does not keep, whatever the policy says
	Keys      []string          `json:"keys,omitempty"`      // aliases of key pairs that are there by a tester's word alone
	Farewell  string            `json:"farewell,omitempty"`  // how Google tells that management is gone: see setFarewell
	Managed   *management       `json:"managed,omitempty"`   // nil: nobody manages it
	Results   []commandResult   `json:"results,omitempty"`   // that the stand-in may not have
	Removed   int               `json:"removed,omitempty"`   // work profiles that were removed
	Resets    int               `json:"resets,omitempty"`    // of the whole phone, by management
	Reboots   int               `json:"reboots,omitempty"`   // by management
	Lost      bool              `json:"lost,omitempty"`      // in lost mode
	Mailboxes map[string]string `json:"mailboxes,omitempty"` // of managed accounts that ever were, by app: what made each of them
	Companion companion         `json:"companion,omitzero"`
	Knox      string            `json:"knox,omitempty"` // the challenge by which Samsung's plugin got its certificate
}

// management is a work profile, or the management of the whole phone.
type management struct {
	Device     string          `json:"device"` // resource name
	Secret     string          `json:"secret"`
	Mode       string          `json:"mode"`
	Ownership  string          `json:"ownership"`
	SpecificID string          `json:"specific_id,omitempty"`
	Disabled   bool            `json:"disabled,omitempty"`
	Policy     json.RawMessage `json:"policy,omitempty"` // that is applied
	Broken     []detail        `json:"broken,omitempty"` // of the policy, as last found
	Installed  []string        `json:"installed,omitempty"`
}

// detail is one setting of a policy that the phone does not keep
// (NonComplianceDetail).
type detail struct {
	Setting  string `json:"settingName"`
	Reason   string `json:"nonComplianceReason"`
	Specific string `json:"specificNonComplianceReason,omitempty"`
	Path     string `json:"fieldPath,omitempty"`
	Package  string `json:"packageName,omitempty"`
	Failure  string `json:"installationFailureReason,omitempty"`
}

// Kind says what the phone is.
func (p *Phone) Kind() (Kind, error) {
	end, err := p.begin()
	if err != nil {
		return "", err
	}
	defer end()
	if p.s.Android != nil {
		return Android, nil
	}
	return IPhone, nil
}

// newState makes a phone as it leaves the shop.
func newState(kind Kind) *state {
	s := &state{Version: stateVersion, Facts: newFacts()}
	if kind != Android {
		return s
	}
	s.Facts = facts{
		Serial: random("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", 14), IMEI: imei(), Product: "Pixel 8", Name: "Pixel 8", OS: "16", Passcode: true,
		EASDeviceID: "androidc" + random("0123456789", 10), // as Gmail's ancestors made it up
	}
	s.Android = &android{Hardware: uuid.NewString(), Brand: "google", Manufacturer: "Google", Posture: "SECURE"}
	return s
}

// policy is the applied policy; an empty one before there was any.
func (m *management) policy() object {
	p, err := readObject(m.Policy)
	if err != nil {
		return object{}
	}
	return p
}

// wholePhone reports whether the management can reset all of the phone.
func (m *management) wholePhone() bool { return m.Ownership != personallyOwned }

// apiLevels of Android's versions; a minor one that has none has its major's
// (https://developer.android.com/tools/releases/platforms).
var apiLevels = map[string]int{"8": 26, "8.1": 27, "9": 28, "10": 29, "11": 30, "12": 31, "12.1": 32, "13": 33, "14": 34, "15": 35, "16": 36, "17": 37}

func apiLevel(os string) int {
	major, _, _ := strings.Cut(os, ".")
	for _, known := range []string{os, major} {
		if level, ok := apiLevels[known]; ok {
			return level
		}
	}
	n, _ := strconv.Atoi(major)
	return n + 20
}
