package mdm_test

import (
	"fmt"
	"slices"
	"testing"

	"sallyport/mdm"
)

// first is the row that answers.
func first(t mdm.Target, kind mdm.ActionKind) int {
	return slices.IndexFunc(mdm.Matrix(), func(r mdm.MatrixRow) bool { return r.Fits(t, kind) })
}

// targets are devices of every sort.
func targets() []mdm.Target {
	var all []mdm.Target
	for _, client := range mdm.Clients() {
		for _, ownership := range []mdm.Ownership{"", mdm.Corporate, mdm.Personal} {
			for _, rights := range []int{0, 7991, 7999, 8191} {
				for _, supervised := range []bool{false, true} {
					for _, version := range []string{"", "6.1", "7", "14.1", "16.0", "16.1", "26.1", "x"} {
						all = append(all, mdm.Target{Client: client, Ownership: ownership, Rights: rights, Supervised: supervised, OS: version, EAS: version})
					}
				}
			}
		}
	}
	return all
}

// TestMatrixRows: every row answers for somebody, and says one of two things.
func TestMatrixRows(t *testing.T) {
	t.Parallel()
	answered := map[int]bool{}
	for _, target := range targets() {
		for _, kind := range mdm.ActionKinds() {
			answered[first(target, kind)] = true
		}
	}
	for i, row := range mdm.Matrix() {
		if !answered[i] {
			t.Errorf("row %d never answers: %+v", i, row)
		}
		if (row.Effect == "") == (row.Reason == "") {
			t.Errorf("row %d: effect %q and reason %q", i, row.Effect, row.Reason)
		}
	}
	if answered[-1] {
		t.Error("there is a device for which no row answers")
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		all := mdm.Capabilities(target)
		for i, kind := range mdm.ActionKinds() {
			c := all[i]
			if c.Kind != kind || c.Possible != (c.Effect != "") || c.Possible == (c.Reason != "") {
				t.Fatalf("%+v, %s: got %+v", target, kind, c)
			}
			if kind == mdm.ActionWipe && c.Possible && target.Ownership == mdm.Personal &&
				target.Client != mdm.ClientMailWindows81 && target.Client != mdm.ClientMailWindowsRT {
				t.Errorf("%+v can be wiped", target)
			}
		}
	}
	if c := mdm.CapabilityOf(mdm.Target{Client: "blackberry"}, mdm.ActionWipe); c.Possible || c.Reason == "" {
		t.Errorf("got %+v", c)
	}
}

func TestCapabilityOf(t *testing.T) {
	t.Parallel()
	apple := mdm.Target{Client: mdm.ClientApple, Ownership: mdm.Corporate, Rights: 7999, OS: "26.1"}
	with := func(change func(*mdm.Target)) mdm.Target {
		target := apple
		change(&target)
		return target
	}
	tests := []struct {
		name     string
		target   mdm.Target
		kind     mdm.ActionKind
		possible bool
	}{
		{"corporate", apple, mdm.ActionWipe, true},
		{"personal", with(func(t *mdm.Target) { t.Ownership = mdm.Personal }), mdm.ActionWipe, false},
		{"without the right", with(func(t *mdm.Target) { t.Rights = 7991 }), mdm.ActionWipe, false},
		{"of nobody", with(func(t *mdm.Target) { t.Ownership = "" }), mdm.ActionWipe, false},
		{"personal, selectively", with(func(t *mdm.Target) { t.Ownership, t.Rights = mdm.Personal, 7991 }), mdm.ActionSelectiveWipe, true},
		{"without any right", with(func(t *mdm.Target) { t.Rights = 0 }), mdm.ActionLock, false},
		{"without any right, renamed all the same", with(func(t *mdm.Target) { t.Rights = 0 }), mdm.ActionRename, true},
		{"retired in any case", with(func(t *mdm.Target) { t.Rights = 0 }), mdm.ActionRetire, true},
		{"Android, without the right", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Corporate}, mdm.ActionWipe, false},
		{"Android, corporate", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Corporate, Rights: 7999}, mdm.ActionWipe, true},
		{"Android, personal", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Personal, Rights: 7999, Supervised: true}, mdm.ActionWipe, false},
		{"Android, of nobody", mdm.Target{Client: mdm.ClientAndroid, Rights: 7999}, mdm.ActionWipe, false},
		{"Android, fully managed, retired", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Corporate, Rights: 7999, Supervised: true}, mdm.ActionRetire, false},
		{"Android, personal, retired", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Personal, Rights: 7991}, mdm.ActionRetire, true},
		{"Android, of nobody, retired", mdm.Target{Client: mdm.ClientAndroid, Rights: 7991}, mdm.ActionRetire, false},
		{"Android, company's work profile, retired", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Corporate, Rights: 7999}, mdm.ActionRetire, true},
		{"Android, queried", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Corporate, Rights: 7999}, mdm.ActionQuery, true},
		{"Android, personal, selectively", mdm.Target{Client: mdm.ClientAndroid, Ownership: mdm.Personal}, mdm.ActionSelectiveWipe, true},
		{"Windows 8.1", mdm.Target{Client: mdm.ClientMailWindows81}, mdm.ActionWipe, true},
		{"Windows RT", mdm.Target{Client: mdm.ClientMailWindowsRT}, mdm.ActionSelectiveWipe, true},
		{"Windows Phone 8", mdm.Target{Client: mdm.ClientMailWinPhone8, EAS: "14.1"}, mdm.ActionSelectiveWipe, false},
		{"iOS Mail of EAS 16.0", mdm.Target{Client: mdm.ClientMailIOS, EAS: "16.0"}, mdm.ActionSelectiveWipe, false},
		{"iOS Mail of EAS 16.1", mdm.Target{Client: mdm.ClientMailIOS, EAS: "16.1"}, mdm.ActionSelectiveWipe, true},
		{"iOS Mail of an unknown EAS version", mdm.Target{Client: mdm.ClientMailIOS}, mdm.ActionSelectiveWipe, false},
		{"iOS Mail of a corporate device", mdm.Target{Client: mdm.ClientMailIOS, Ownership: mdm.Corporate}, mdm.ActionWipe, true},
		{"iOS Mail of who knows whom", mdm.Target{Client: mdm.ClientMailIOS}, mdm.ActionWipe, false},
		{"Android Mail", mdm.Target{Client: mdm.ClientMailAndroid}, mdm.ActionRemovePolicies, true},
		{"Android Mail", mdm.Target{Client: mdm.ClientMailAndroid}, mdm.ActionLock, false},
	}
	for _, test := range tests {
		if c := mdm.CapabilityOf(test.target, test.kind); c.Possible != test.possible {
			t.Errorf("%s, %s: got %+v", test.name, test.kind, c)
		}
	}
}

func TestEnrollmentTarget(t *testing.T) {
	t.Parallel()
	yes := true
	e := mdm.Enrollment{Platform: mdm.Apple, Ownership: mdm.Corporate, AccessRights: 7999}
	want := mdm.Target{Client: mdm.ClientApple, Ownership: mdm.Corporate, Rights: 7999}
	if got := e.Target(mdm.Report{}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want.OS, want.Supervised = "18.6", true
	if got := e.Target(mdm.Report{Device: &mdm.DeviceFacts{OSVersion: "18.6", Supervised: &yes}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if mdm.Client(mdm.Android) != mdm.ClientAndroid || mdm.Client(mdm.Apple) != mdm.ClientApple {
		t.Error("a managed client is named after its platform")
	}
}

// TestMayErase agrees with the matrix: what the locks let through is what people are told.
func TestMayErase(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		if target.Client != mdm.ClientApple && target.Client != mdm.ClientAndroid {
			continue
		}
		e := mdm.Enrollment{Platform: mdm.Platform(target.Client), Ownership: target.Ownership, AccessRights: target.Rights}
		if c := mdm.CapabilityOf(target, mdm.ActionWipe); c.Possible != e.MayErase() {
			t.Errorf("%+v: MayErase says %v, the matrix %+v", target, e.MayErase(), c)
		}
	}
}

// FuzzCapabilities: versions are what devices say of themselves.
func FuzzCapabilities(f *testing.F) {
	f.Add("26.1", "16.1", true)
	f.Add("", "99999999999999999999.1", false)
	f.Add("-1..", ".", false)
	f.Fuzz(func(t *testing.T, os, eas string, supervised bool) {
		for _, client := range mdm.Clients() {
			target := mdm.Target{Client: client, Ownership: mdm.Personal, Rights: 8191, Supervised: supervised, OS: os, EAS: eas}
			for _, c := range mdm.Capabilities(target) {
				if c.Possible == (c.Reason != "") {
					t.Fatalf("%+v: %+v", target, c)
				}
			}
		}
	})
}

func ExampleCapabilityOf() {
	personal := mdm.Target{Client: mdm.ClientApple, Ownership: mdm.Personal, Rights: 7991}
	c := mdm.CapabilityOf(personal, mdm.ActionWipe)
	fmt.Println(c.Possible, c.Reason)
	// Output: false a personal device is never erased; selective_wipe removes mail and everything else that came from us
}
