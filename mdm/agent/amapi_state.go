package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// amapiState is all that a stand-in keeps. Resources are in the API's own JSON.
type amapiState struct {
	Version      int                        `json:"version"`
	Next         int                        `json:"next"`    // number of the next made-up ID
	Signups      map[string]*signup         `json:"signups"` // by resource name
	Enterprises  map[string]*enterprise     `json:"enterprises"`
	Provisioning map[string]*provisioning   `json:"provisioning"` // by resource name
	Queue        []*message                 `json:"queue,omitempty"`
	Operations   map[string]*operation      `json:"operations"` // by resource name
	Devices      map[string]*managedDevice  `json:"devices"`    // by resource name
	Tokens       map[string]*enrolmentToken `json:"tokens"`     // by resource name
	Bearers      map[string]time.Time       `json:"bearers"`    // access tokens, and until when
}

// signup is an enterprise that is about to be.
type signup struct {
	Callback string `json:"callback"`
	Token    string `json:"token,omitempty"` // after its admin was there
	Used     bool   `json:"used,omitempty"`
}

type enterprise struct {
	Doc      object            `json:"doc"` // Enterprise
	Policies map[string]object `json:"policies"`
}

type enrolmentToken struct {
	Doc        object    `json:"doc"` // EnrollmentToken, all of it
	Enterprise string    `json:"enterprise"`
	Expires    time.Time `json:"expires"`
	Used       bool      `json:"used,omitempty"` // a one-time token that a device has enrolled with
}

// provisioning is a phone in the middle of its set-up, sent to a sign-in page.
type provisioning struct {
	Doc object `json:"doc"` // ProvisioningInfo
}

// managedDevice is a device as Google knows it.
type managedDevice struct {
	Doc        object   `json:"doc"` // Device
	Enterprise string   `json:"enterprise"`
	Secret     string   `json:"secret"`   // by which the phone is known
	Hardware   string   `json:"hardware"` // the same whatever enrolment
	Private    bool     `json:"private"`  // it really belongs to a person; Google does not know that
	Commands   []string `json:"commands,omitempty"`
	Deleted    bool     `json:"deleted,omitempty"` // by devices.delete, or by itself
	Wipe       bool     `json:"wipe,omitempty"`    // to be wiped when it comes next
}

type operation struct {
	Doc     object    `json:"doc"` // Operation
	Expires time.Time `json:"expires"`
}

func newAMAPIState() *amapiState {
	return &amapiState{
		Version: stateVersion, Next: 1, Signups: map[string]*signup{}, Enterprises: map[string]*enterprise{}, Provisioning: map[string]*provisioning{},
		Operations: map[string]*operation{}, Devices: map[string]*managedDevice{}, Tokens: map[string]*enrolmentToken{}, Bearers: map[string]time.Time{},
	}
}

// load takes what an earlier stand-in kept, or nothing.
func (a *AMAPI) load() error {
	a.s = newAMAPIState()
	if !a.o.Keep {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(a.o.Dir, amapiStateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("state of the stand-in: %w", err)
	}
	kept, err := readObject(text) // numbers as the API has them
	if err == nil {
		err = json.Unmarshal(text, a.s)
	}
	if err != nil || number(kept, "version") != stateVersion {
		return fmt.Errorf("%w: %s is not a state that this program knows", ErrInvalid, amapiStateFile)
	}
	a.s.exact(kept)
	return nil
}

// exact replaces every resource by its reading with json.Number in it.
func (s *amapiState) exact(kept object) {
	doc := func(of, name string) object { return inner(inner(inner(kept, of), name), "doc") }
	for name, e := range s.Enterprises {
		e.Doc, e.Policies = doc("enterprises", name), map[string]object{}
		for id, policy := range inner(inner(inner(kept, "enterprises"), name), "policies") {
			e.Policies[id], _ = policy.(object)
		}
	}
	for name, t := range s.Tokens {
		t.Doc = doc("tokens", name)
	}
	for name, p := range s.Provisioning {
		p.Doc = doc("provisioning", name)
	}
	for name, d := range s.Devices {
		d.Doc = doc("devices", name)
	}
	for name, o := range s.Operations {
		o.Doc = doc("operations", name)
	}
}

// keep writes the state, where it is to be kept, and tells who waits that
// something changed. The caller holds a.mu.
func (a *AMAPI) keep() error {
	close(a.changed)
	a.changed = make(chan struct{})
	if !a.o.Keep {
		return nil
	}
	text, err := json.Marshal(a.s)
	if err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	if err := writeAtomic(filepath.Join(a.o.Dir, amapiStateFile), text); err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	return nil
}

// id makes an ID up that sorts by age.
func (s *amapiState) id(prefix string) string {
	s.Next++
	return prefix + strconv.FormatInt(int64(s.Next)+0x3a5f0000, 16) + random("0123456789abcdef", 8)
}

// timestamp is google.protobuf.Timestamp in JSON.
func timestamp(t time.Time) string {
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

func (a *AMAPI) now() string { return timestamp(a.o.Now()) }

// page cuts a list: 10 by default, 100 at most. Its token is the name that the
// next page begins with.
func page(all []string, size int, from string) (some []string, next string) {
	slices.Sort(all)
	if size <= 0 {
		size = 10
	}
	size = min(size, 100)
	start, _ := slices.BinarySearch(all, from)
	end := min(start+size, len(all))
	if end < len(all) {
		next = all[end]
	}
	return all[start:end], next
}
