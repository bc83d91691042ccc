package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ask sends one command and returns its result.
func ask(t *testing.T, f *fakeServer, p *Phone, name string, args m) m {
	t.Helper()
	f.order(name, args)
	connect(t, p)
	return f.lastResult()
}

func set(t *testing.T, p *Phone, assignments ...string) {
	t.Helper()
	if err := p.Set(assignments...); err != nil {
		t.Fatal(err)
	}
}

func TestLockAndClearPasscode(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	if r := ask(t, f, p, "DeviceLock", m{"Message": "Found?", "PhoneNumber": "+49 30 1"}); r["MessageResult"] != "Success" {
		t.Errorf("lock: %v", r)
	}
	if s := show(t, p); !s.Locked || s.LockMessage != "Found?" || s.LockNumber != "+49 30 1" {
		t.Errorf("after the lock: %+v", s)
	}
	if r := ask(t, f, p, "ClearPasscode", m{"UnlockToken": []byte("another phone's")}); r["Status"] != statusError {
		t.Errorf("wrong token: %v", r)
	} else if domain, code := rootCause(t, f); domain != domainPasscode || code != 5013 {
		t.Errorf("wrong token: %s %d", domain, code)
	}
	if s := show(t, p); !s.Passcode || !s.Locked {
		t.Error("a wrong token changed something")
	}
	if r := ask(t, f, p, "ClearPasscode", m{"UnlockToken": f.unlock}); r["Status"] != statusAcknowledged {
		t.Errorf("right token: %v", r)
	}
	if s := show(t, p); s.Passcode || s.Locked || s.LockMessage != "" {
		t.Errorf("after ClearPasscode: %+v", s)
	}
	if r := ask(t, f, p, "DeviceLock", m{"Message": "x"}); r["MessageResult"] != "NoPasscodeSet" || show(t, p).Locked {
		t.Errorf("lock without a passcode: %v", r)
	}
	if r := ask(t, f, p, "DeviceLock", nil); r["MessageResult"] != nil {
		t.Errorf("lock without a message: %v", r)
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, told := enrolled(t, f, ownKeys)
	install(f, f.encrypted(f.mailProfile(easUUID, "mail.example.test")))
	connect(t, p)
	before := show(t, p)
	if r := ask(t, f, p, "EraseDevice", m{"PreserveDataPlan": true}); r["Status"] != statusAcknowledged {
		t.Errorf("erase: %v", r)
	}
	told.has(t, "phone erased")
	s := show(t, p)
	if s.State != StageNone || len(s.Profiles)+len(s.Accounts)+len(s.Certificates) > 0 || s.Passcode || s.Erasures != 1 {
		t.Errorf("left: %+v", s)
	}
	if s.UDID != before.UDID || s.Serial != before.Serial || s.EASDeviceID == before.EASDeviceID {
		t.Errorf("it is another phone, or Mail is the old one: %+v", s)
	}
	if slices.Contains(f.checkedIn, "CheckOut") {
		t.Error("an erased phone checked out")
	}
	if keys, _ := os.ReadDir(filepath.Join(p.o.Dir, keyFolder)); len(keys) != 0 {
		t.Errorf("%d keys left", len(keys))
	}
	if last := s.Executed[len(s.Executed)-1]; last.RequestType != "EraseDevice" || last.Times != 1 || s.Executions != 2 || s.ExecutedTwice != 0 {
		t.Errorf("ledger: %+v", s)
	}
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Errorf("enrolling again: %v", err)
	}
}

// A profile without right 8 is what keeps a personal phone from being erased.
func TestEraseWithoutTheRight(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.rights("7991")
	p, _ := enrolled(t, f)
	ask(t, f, p, "EraseDevice", nil)
	if domain, code := rootCause(t, f); domain != domainMDM || code != 12007 {
		t.Errorf("got %s %d", domain, code)
	}
	if s := show(t, p); s.State != StageEnrolled || s.Erasures != 0 {
		t.Errorf("after the refusal: %+v", s)
	}
}

// A phone that dies, or a server, between the answer and the end, ends later.
func TestEndSurvivesALostServer(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]int{"EraseDevice": 1, "RemoveProfile": 0} {
		f := newFakeServer(t)
		p, _ := newPhone(t, f, func(o *Options) { o.Retry = Retry{Attempts: 1} })
		if err := p.Enroll(context.Background(), f.invitation()); err != nil {
			t.Fatal(err)
		}
		down := false
		f.fault = func(phase, what string) faultKind {
			if down = down || len(f.results) == 0 && phase == "after" && what == "command"; down && phase == "before" {
				down = false
				return drop
			}
			return noFault
		}
		f.order(command, m{"Identifier": "test.example.enrol"})
		if err := p.Connect(context.Background()); err == nil {
			t.Fatal("the server was not down")
		}
		if s := show(t, p); s.State != StageEnrolled {
			t.Errorf("%s: ended before the answer was told: %s", command, s.State)
		}
		f.fault = nil
		connect(t, p)
		if s := show(t, p); s.State != StageNone || s.Erasures != want || s.ExecutedTwice != 0 {
			t.Errorf("%s: %+v", command, s)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	items := m{"Settings": []any{m{"Item": "DeviceName", "DeviceName": "Alice's phone"}, m{"Item": "Wallpaper"}, m{"Item": "DeviceName"}}}
	statuses := func(r m) string {
		var out []string
		for _, item := range r["Settings"].([]any) {
			one := item.(m)
			out = append(out, one["Status"].(string))
			if chain, ok := one["ErrorChain"].([]any); ok {
				out = append(out, chain[0].(m)["ErrorDomain"].(string))
			}
		}
		return strings.Join(out, " ")
	}
	if r := ask(t, f, p, "Settings", items); r["Status"] != statusAcknowledged || statuses(r) != "Error MCChaperoneErrorDomain Error MCSettingsErrorDomain CommandFormatError" {
		t.Errorf("not supervised: %v", r)
	}
	if show(t, p).Name != "iPhone" {
		t.Error("renamed without supervision")
	}
	set(t, p, "supervised=yes", "awaiting=yes")
	if r := ask(t, f, p, "Settings", items); statuses(r) != "Acknowledged Error MCSettingsErrorDomain CommandFormatError" || show(t, p).Name != "Alice's phone" {
		t.Errorf("supervised: %v", r)
	}
	if r := ask(t, f, p, "Settings", m{"Settings": "x"}); r["Status"] != statusFormatError {
		t.Errorf("malformed: %v", r)
	}
	if r := ask(t, f, p, "DeviceConfigured", nil); r["Status"] != statusAcknowledged || show(t, p).Awaiting {
		t.Errorf("DeviceConfigured: %v", r)
	}
	set(t, p, "supervised=no")
	ask(t, f, p, "DeviceConfigured", nil)
	if domain, code := rootCause(t, f); domain != domainChaperone || code != 29000 {
		t.Errorf("DeviceConfigured without supervision: %s %d", domain, code)
	}
}

func TestRestrictions(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	flag := func(r m, group, name string) any {
		bools := r[group].(m)["restrictedBool"].(m)
		if bools[name] == nil {
			return nil
		}
		return bools[name].(m)["value"]
	}
	r := ask(t, f, p, "Restrictions", nil)
	if flag(r, "GlobalRestrictions", accountRestriction) != true || r["ProfileRestrictions"] != nil {
		t.Errorf("free: %v", r)
	}
	set(t, p, "accounts=fixed")
	if r := ask(t, f, p, "Restrictions", nil); flag(r, "GlobalRestrictions", accountRestriction) != false {
		t.Errorf("fixed: %v", r)
	}
	if err := p.AddAccount("a@example.test", "a", ""); err == nil {
		t.Error("an account was added where none may be")
	}
	set(t, p, "accounts=free")
	install(f, f.ca.signed(t, f.encode(profileOf("test.example.limits", "AAAAAAAA-AAAA-5AAA-8AAA-AAAAAAAAAAAA", m{
		"PayloadType": typeRestrictions, "PayloadVersion": 1, "PayloadIdentifier": "test.example.limits.1", "PayloadUUID": "BBBBBBBB-BBBB-5BBB-8BBB-BBBBBBBBBBBB",
		"allowCamera": false, "forceEncryptedBackup": true, accountRestriction: false,
	}))))
	r = ask(t, f, p, "Restrictions", m{"ProfileRestrictions": true})
	own := r["ProfileRestrictions"].(m)["test.example.limits"].(m)
	if flag(r, "GlobalRestrictions", "allowCamera") != false || flag(r, "GlobalRestrictions", "forceEncryptedBackup") != true || own["restrictedBool"].(m)["allowCamera"] == nil {
		t.Errorf("by profile: %v", r)
	}
	if flag(r, "GlobalRestrictions", accountRestriction) != true {
		t.Error("accounts are fixed without supervision")
	}
}

func TestApplicationLists(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	list := func(args m) []any {
		return ask(t, f, p, "InstalledApplicationList", args)["InstalledApplicationList"].([]any)
	}
	if all := list(nil); len(all) != len(apps) {
		t.Errorf("all: %v", all)
	}
	some := list(m{"Identifiers": []string{"com.example.notes", "nobody"}, "Items": []string{"Version"}})
	if len(some) != 1 || len(some[0].(m)) != 2 || some[0].(m)["Identifier"] != "com.example.notes" || some[0].(m)["Version"] != "40201" {
		t.Errorf("some: %v", some)
	}
	if managed := list(m{"ManagedAppsOnly": true}); len(managed) != 0 {
		t.Errorf("managed: %v", managed)
	}
	if r := ask(t, f, p, "ManagedApplicationList", nil); len(r["ManagedApplicationList"].(m)) != 0 {
		t.Errorf("managed: %v", r)
	}
}

// What a query needs beyond the right to device information, and what a version
// of iOS does not know, is left out.
func TestQueriesByRightAndVersion(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.rights("19") // profiles and device information
	p, _ := enrolled(t, f)
	answered := func(names ...string) int {
		return len(ask(t, f, p, "DeviceInformation", m{"Queries": names})["QueryResponses"].(m))
	}
	if n := answered("OSVersion", "WiFiMAC", "iTunesStoreAccountIsActive"); n != 1 {
		t.Errorf("without rights: %d answers", n)
	}
	set(t, p, "os=15.8")
	if n := answered("OSVersion", "AccessibilitySettings", "SupplementalBuildVersion"); n != 1 {
		t.Errorf("old iOS: %d answers", n)
	}
	for _, tt := range []struct {
		os, first string
		want      bool
	}{{"16.1", "16.1", true}, {"16", "16.1", false}, {"9.3.5", "16.0", false}, {"26.1", "16.1", true}, {"17.0.3", "", true}} {
		if got := from(tt.os, tt.first); got != tt.want {
			t.Errorf("%s from %q: %v", tt.os, tt.first, got)
		}
	}
}

func TestLockedPhoneDefersWhatItMay(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "locked=on")
	for name, ability := range commands {
		if name == "EraseDevice" {
			continue
		}
		want := map[bool]string{true: "answer", false: statusNotNow}[ability.always]
		got, _ := ask(t, f, p, name, m{"UnlockToken": []byte("x"), "Queries": []string{"UDID"}})["Status"].(string)
		if got != statusNotNow {
			got = "answer"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestLedgerForgetsTheOldest(t *testing.T) {
	var l ledger
	for i := range maxLedger + 10 {
		l.add(time.Unix(int64(i), 0).UTC().String(), "SecurityInfo", statusAcknowledged, maxLedger)
	}
	l.add(l.Entries[0].CommandUUID, "SecurityInfo", statusError, maxLedger)
	if len(l.Entries) != maxLedger || l.Total != maxLedger+11 || l.Repeated != 1 || l.Entries[0].Times != 2 {
		t.Errorf("%d entries, %d in all, %d repeated, %+v", len(l.Entries), l.Total, l.Repeated, l.Entries[0])
	}
}
