package mdm

import (
	"strconv"
	"strings"
)

// Client is the piece of software on a device that would carry out an act: its
// management, or no more than its mail app.
type Client string

const (
	ClientApple         Client = "apple"               // iPhone or iPad under management
	ClientAndroid       Client = "android"             // Android under management
	ClientMailWindows81 Client = "eas_windows_8_1"     // mail app of Windows 8.1 and Windows RT 8.1
	ClientMailWindowsRT Client = "eas_windows_rt"      // mail app of Windows RT
	ClientMailWinPhone8 Client = "eas_windows_phone_8" // mail app of Windows Phone 8
	ClientMailIOS       Client = "eas_ios"             // mail app of an iPhone or iPad that is not managed
	ClientMailAndroid   Client = "eas_android"         // mail app of an Android device that is not managed
)

// Clients are all of them.
func Clients() []Client {
	return []Client{ClientApple, ClientAndroid, ClientMailWindows81, ClientMailWindowsRT, ClientMailWinPhone8, ClientMailIOS, ClientMailAndroid}
}

// ActionKinds are all kinds of acts, in the order in which people are shown them.
func ActionKinds() []ActionKind {
	return []ActionKind{
		ActionResend, ActionRename, ActionLock, ActionClearPasscode, ActionQuery, ActionRemovePolicies,
		ActionSelectiveWipe, ActionRetire, ActionWipe, ActionCommand,
	}
}

// Target is a device as far as it matters to what can be done to it.
type Target struct {
	Client     Client
	Ownership  Ownership // empty: nobody has said so
	Rights     int       // Enrollment.AccessRights
	Supervised bool      // false also when unknown
	OS         string    // empty: unknown
	EAS        string    // protocol version of a mail app, for example "16.1"; empty: unknown
}

// Target is what an enrolment and its report say about what can be done to it.
func (e Enrollment) Target(r Report) Target {
	t := Target{Client: Client(e.Platform), Ownership: e.Ownership, Rights: e.AccessRights}
	if d := r.Device; d != nil {
		t.OS, t.Supervised = d.OSVersion, d.Supervised != nil && *d.Supervised
	}
	return t
}

// Capability says what an act does to a device, or why it cannot be done.
type Capability struct {
	Kind     ActionKind `json:"kind"`
	Possible bool       `json:"possible"`
	Effect   string     `json:"effect,omitempty"` // what happens on the device, when possible
	Reason   string     `json:"reason,omitempty"` // why not, and what else helps
}

// Capabilities answers for every kind, in the order of ActionKinds: the first
// row of the matrix that fits.
func Capabilities(t Target) []Capability {
	all := make([]Capability, 0, len(ActionKinds()))
	for _, kind := range ActionKinds() {
		all = append(all, CapabilityOf(t, kind))
	}
	return all
}

// CapabilityOf answers for one kind.
func CapabilityOf(t Target, kind ActionKind) Capability {
	for _, row := range Matrix() {
		if row.Fits(t, kind) {
			return Capability{Kind: kind, Possible: row.Effect != "", Effect: row.Effect, Reason: row.Reason}
		}
	}
	return Capability{Kind: kind, Reason: "nobody knows what such a device would do"}
}

// MatrixRow is one line of the matrix: conditions, and either the effect of an
// act on a device that meets them all or the reason why there is none.
type MatrixRow struct {
	Client     Client
	Kind       ActionKind // empty: any
	Ownership  Ownership  // empty: any
	Rights     int        // all of these are needed
	Supervised bool       // true: supervised devices only
	MinOS      string     // empty: any, also unknown
	MinEAS     string     // empty: any, also unknown
	Effect     string
	Reason     string
}

// Fits reports whether the row speaks of this device and this kind of act.
func (r MatrixRow) Fits(t Target, kind ActionKind) bool {
	return r.Client == t.Client && (r.Kind == "" || r.Kind == kind) &&
		(r.Ownership == "" || r.Ownership == t.Ownership) &&
		t.Rights&r.Rights == r.Rights && (!r.Supervised || t.Supervised) &&
		(r.MinOS == "" || atLeast(t.OS, r.MinOS)) && (r.MinEAS == "" || atLeast(t.EAS, r.MinEAS))
}

// atLeast compares version numbers by their parts. What is no number is not
// enough.
func atLeast(version, least string) bool {
	have, want := strings.Split(version, "."), strings.Split(least, ".")
	for i, part := range want {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		m := 0 // 17 is 17.0
		if i < len(have) {
			if m, err = strconv.Atoi(have[i]); err != nil {
				return false
			}
		}
		if m != n {
			return m > n
		}
	}
	return true
}
