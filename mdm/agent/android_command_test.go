package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// command issues one, lets the phone connect, and returns the operation.
func (s *scene) command(p *Phone, body string) object {
	s.t.Helper()
	op := s.call("POST", androidOf(s.t, p).Device+":issueCommand", body)
	reconnect(s.t, p)
	return s.call("GET", str(op, "name"), "")
}

const wipe = `{"type":"WIPE"}`

// TestCommands: what each does to each kind of phone.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tests := []struct {
		name, usage, body string
		errorCode         string
		check             func(t *testing.T, shot Snapshot, op object)
	}{
		{name: "lock", body: `{"type":"LOCK"}`, check: func(t *testing.T, shot Snapshot, _ object) {
			if !shot.Locked {
				t.Error("not locked")
			}
		}},
		{name: "reset the password of a profile", body: `{"type":"RESET_PASSWORD"}`, check: func(t *testing.T, shot Snapshot, _ object) {
			if !shot.Passcode {
				t.Error("the person's passcode is gone")
			}
		}},
		{name: "reset the password of a phone", usage: "PERSONAL_USAGE_DISALLOWED", body: `{"type":"RESET_PASSWORD"}`, check: func(t *testing.T, shot Snapshot, _ object) {
			if shot.Passcode {
				t.Error("the passcode is still there")
			}
		}},
		{name: "a short password", usage: "PERSONAL_USAGE_DISALLOWED", body: `{"type":"RESET_PASSWORD","newPassword":"1234"}`, errorCode: codeValue},
		{name: "reboot a profile", body: `{"type":"REBOOT"}`, errorCode: codeMode},
		{name: "reboot", usage: "PERSONAL_USAGE_DISALLOWED", body: `{"type":"REBOOT","duration":"60s"}`, check: func(t *testing.T, shot Snapshot, _ object) {
			if shot.Android.Reboots != 1 {
				t.Error("not rebooted")
			}
		}},
		{name: "clear app data", body: `{"type":"CLEAR_APP_DATA","clearAppsDataParams":{"packageNames":["com.google.android.gm"]}}`, check: func(t *testing.T, _ Snapshot, op object) {
			results := inner(inner(inner(op, "metadata"), "clearAppsDataStatus"), "results")
			if str(inner(results, gmailPackage), "clearingResult") != "APP_NOT_FOUND" {
				t.Errorf("%v", results)
			}
		}},
		{name: "device info", body: `{"type":"REQUEST_DEVICE_INFO","requestDeviceInfoParams":{"deviceInfo":"EID"}}`, check: func(t *testing.T, _ Snapshot, op object) {
			if info := inner(inner(op, "metadata"), "requestDeviceInfoStatus"); str(info, "status") != "SUCCEEDED" || str(list(inner(info, "eidInfo"), "eids")[0], "eid") != eid {
				t.Errorf("%v", op)
			}
		}},
		{name: "device info of a company's phone", usage: "PERSONAL_USAGE_DISALLOWED", body: `{"type":"REQUEST_DEVICE_INFO","requestDeviceInfoParams":{"deviceInfo":"EID"}}`, check: func(t *testing.T, _ Snapshot, op object) {
			if str(inner(inner(op, "metadata"), "requestDeviceInfoStatus"), "status") != "UNSUPPORTED" {
				t.Errorf("%v", op)
			}
		}},
		{name: "lost mode of a personal phone", body: `{"type":"START_LOST_MODE","startLostModeParams":{"lostMessage":{"defaultMessage":"Call us"}}}`, errorCode: codeMode},
		{name: "lost mode", usage: "PERSONAL_USAGE_DISALLOWED", body: `{"type":"START_LOST_MODE","startLostModeParams":{"lostMessage":{"defaultMessage":"Call us"}}}`, check: func(t *testing.T, shot Snapshot, op object) {
			if shot.LockMessage != "Call us" || str(inner(inner(op, "metadata"), "startLostModeStatus"), "status") != "SUCCESS" {
				t.Errorf("%+v %v", shot, op)
			}
		}},
		{name: "not lost", usage: "PERSONAL_USAGE_DISALLOWED", body: `{"type":"STOP_LOST_MODE"}`, check: func(t *testing.T, _ Snapshot, op object) {
			if str(inner(inner(op, "metadata"), "stopLostModeStatus"), "status") != "NOT_IN_LOST_MODE" {
				t.Errorf("%v", op)
			}
		}},
		{name: "relinquish a personal phone", body: `{"type":"RELINQUISH_OWNERSHIP"}`, errorCode: codeMode},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p *Phone
			if tt.usage == "" {
				s.usage = "PERSONAL_USAGE_ALLOWED"
				p = s.worker()
			} else {
				p = s.corporate(tt.usage)
			}
			op := s.command(p, tt.body)
			if !yes(op, "done") || str(inner(op, "metadata"), "errorCode") != tt.errorCode || (op["error"] != nil) != (tt.errorCode != "") {
				t.Fatalf("%v", op)
			}
			shot := show(t, p)
			if shot.Executions != 1 || shot.ExecutedTwice != 0 || shot.Executed[0].Status != orText(tt.errorCode, "done") {
				t.Errorf("%+v", shot.Executed)
			}
			if tt.check != nil {
				tt.check(t, shot, op)
			}
			reconnect(t, p)
			if again := show(t, p); again.Executions != 1 {
				t.Errorf("carried out again: %+v", again.Executed)
			}
		})
	}
	if n := len(s.ear.wait("COMMAND", len(tests))); n != len(tests) {
		t.Errorf("%d notifications for %d commands", n, len(tests))
	}
	s.clean()
}

// TestWipe: the work profile on a personal phone, everything on a company's.
func TestWipe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, usage     string
		by              func(s *scene, p *Phone)
		profile, resets int
	}{
		{"personal, by command", "", func(s *scene, p *Phone) { s.issue(p, wipe) }, 1, 0},
		{"personal, deleted", "", func(s *scene, p *Phone) { s.call("DELETE", androidOf(s.t, p).Device, "") }, 1, 0},
		{"company's, by command", "PERSONAL_USAGE_DISALLOWED", func(s *scene, p *Phone) {
			s.issue(p, `{"type":"WIPE","wipeParams":{"wipeDataFlags":["WIPE_EXTERNAL_STORAGE"]}}`)
		}, 0, 1},
		{"company's with a work profile, deleted", "PERSONAL_USAGE_ALLOWED", func(s *scene, p *Phone) {
			s.call("DELETE", androidOf(s.t, p).Device+"?wipeDataFlags=WIPE_EXTERNAL_STORAGE&wipeDataFlags=WIPE_ESIMS", "")
		}, 0, 1},
		{"company's with a work profile, relinquished", "PERSONAL_USAGE_ALLOWED", func(s *scene, p *Phone) { s.issue(p, `{"type":"RELINQUISH_OWNERSHIP"}`) }, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var p *Phone
			if tt.usage == "" {
				p = s.worker()
			} else {
				p = s.corporate(tt.usage)
			}
			s.give(p, gmailPolicy(``))
			device := androidOf(t, p).Device
			tt.by(s, p)
			reconnect(t, p)
			shot := show(t, p)
			if shot.Android.ProfilesRemoved != tt.profile || shot.Android.Resets != tt.resets || shot.Erasures != tt.resets || shot.State != StageNone || len(shot.Accounts) != 0 {
				t.Errorf("%+v %+v", shot, shot.Android)
			}
			if status, _, _ := s.refused("GET", device, ""); status != 404 {
				t.Errorf("deleted device: %d", status)
			}
			reports := s.ear.wait("STATUS_REPORT", 3)
			if last := reports[len(reports)-1].data; str(last, "state") != stateDeleted || str(last, "appliedState") != stateDeleted {
				t.Errorf("last report: %v", last)
			}
			s.clean()
		})
	}
}

// issue issues one and leaves the phone alone.
func (s *scene) issue(p *Phone, body string) object {
	s.t.Helper()
	return s.call("POST", androidOf(s.t, p).Device+":issueCommand", body)
}

// TestNoPersonalPhoneIsReset: a person's phone that was enrolled as a company's
// is guarded twice: the stand-in refuses, and the phone ends the program.
func TestNoPersonalPhoneIsReset(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.usage = "PERSONAL_USAGE_DISALLOWED"
	p, _ := s.phone("owner=personal", "fresh=yes")
	if err := p.Enroll(context.Background(), str(s.mint(), "qrCode")); err != nil {
		t.Fatal(err)
	}
	device := androidOf(t, p).Device
	for _, try := range [][3]string{{"POST", device + ":issueCommand", wipe}, {"DELETE", device, ""}} {
		if status, _, text := s.refused(try[0], try[1], try[2]); status != 400 || !strings.Contains(text, "belongs to a person") {
			t.Errorf("%v: %d %s", try, status, text)
		}
	}
	s.noted("belongs to a person")
	setAll(t, p, "owner=company")
	s.AMAPI.mu.Lock()
	s.s.Devices[device].Private = false // as if the guard were not there
	s.AMAPI.mu.Unlock()
	s.call("POST", device+":issueCommand", wipe)
	setAll(t, p, "owner=personal")
	defer func() {
		if recover() == nil {
			t.Error("a person's phone was wiped, and the program went on")
		}
	}()
	_ = p.Connect(context.Background())
}

// TestWipeFlagsOnPersonalPhones reach beyond the work profile.
func TestWipeFlagsOnPersonalPhones(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	device := androidOf(t, p).Device
	for _, try := range [][3]string{
		{"POST", device + ":issueCommand", `{"type":"WIPE","wipeParams":{"wipeDataFlags":["WIPE_EXTERNAL_STORAGE"]}}`},
		{"DELETE", device + "?wipeDataFlags=WIPE_EXTERNAL_STORAGE", ""},
	} {
		if status, _, text := s.refused(try[0], try[1], try[2]); status != 400 || !strings.Contains(text, "beyond the work profile") {
			t.Errorf("%v: %d %s", try, status, text)
		}
	}
	if len(s.Log().Violations) != 2 {
		t.Errorf("%v", s.Log().Violations)
	}
}

// TestFarewells: all the ways in which a server learns, or does not, that an
// owner deleted the work profile.
func TestFarewells(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for how, kind := range map[string]string{farewellStatus: "STATUS_REPORT", farewellEnrolment: "ENROLLMENT", farewellSilent: ""} {
		p := s.worker("farewell=" + how)
		device := androidOf(t, p).Device
		if err := p.Unenroll(context.Background()); err != nil {
			t.Fatal(err)
		}
		if kind == "" {
			if str(s.call("GET", device, ""), "state") != stateActive {
				t.Error("Google knows, though nobody told it")
			}
			continue
		}
		found := false
		for n := 1; !found; n++ {
			for _, h := range s.ear.wait(kind, n) {
				found = found || str(h.data, "name") == device && str(h.data, "state") == stateDeleted && str(h.data, "appliedState") == stateDeleted
			}
		}
		if a := androidOf(t, p); a.ProfilesRemoved != 1 || a.Device != "" {
			t.Errorf("%+v", a)
		}
	}
	p := s.corporate("PERSONAL_USAGE_DISALLOWED")
	if err := p.Unenroll(context.Background()); !errors.Is(err, ErrInvalid) {
		t.Errorf("a company's phone: %v", err)
	}
	s.clean()
}

// TestInterruptedResult: a phone whose result is lost carries the command out
// once, and tells again.
func TestInterruptedResult(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.corporate("PERSONAL_USAGE_DISALLOWED")
	op := s.issue(p, `{"type":"REBOOT"}`)
	end, err := p.begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.obeyAndroid(phoneCommand{Operation: str(op, "name"), Command: []byte(`{"type":"REBOOT"}`)}); err != nil { // and then it stops
		t.Fatal(err)
	}
	end()
	reconnect(t, p)
	shot := show(t, p)
	if done := s.call("GET", str(op, "name"), ""); !yes(done, "done") || done["response"] == nil || shot.Executions != 1 || shot.Android.Reboots != 1 {
		t.Errorf("%v %+v", done, shot)
	}
}

func TestDisabledDevice(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	s.call("PATCH", androidOf(t, p).Device+"?updateMask=state", `{"state":"DISABLED"}`)
	reconnect(t, p)
	if d := s.device(p); str(d, "appliedState") != "DISABLED" || !androidOf(t, p).Disabled {
		t.Errorf("%v", d)
	}
}
