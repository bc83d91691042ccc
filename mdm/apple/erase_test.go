package apple

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// raw makes a Raw as a bug might: past ParseRaw.
func raw(t testing.TB, dict map[string]any) Raw {
	t.Helper()
	name, _ := dict["RequestType"].(string)
	return Raw{requestType: name, body: secret.New(string(encode(t, dict)))}
}

// erasers are the ways to say EraseDevice.
func erasers(t testing.TB) map[string]Command {
	return map[string]Command{
		"typed":               EraseDevice{},
		"typed, by reference": &EraseDevice{PreserveDataPlan: true},
		"raw":                 raw(t, map[string]any{"RequestType": "EraseDevice"}),
		"other case":          raw(t, map[string]any{"RequestType": "erasedevicE"}),
		"spaces around":       raw(t, map[string]any{"RequestType": "  EraseDevice\n"}),
		"spaces within":       raw(t, map[string]any{"RequestType": "Erase\tDevice"}),
		"a mark in it":        raw(t, map[string]any{"RequestType": "\ufeffErase\u200bDevice"}),
		"one that claims to be another": Raw{requestType: "SecurityInfo",
			body: secret.New(string(encode(t, map[string]any{"RequestType": "SecurityInfo", "Command": map[string]any{"RequestType": "EraseDevice"}})))},
		"in a list":       raw(t, map[string]any{"RequestType": "SecurityInfo", "Commands": []any{map[string]any{"requesttype": "EraseDevice"}}}),
		"beside the name": raw(t, map[string]any{"RequestType": "SecurityInfo", "RequestType ": "EraseDevice"}),
	}
}

// TestEraseIsHeldBack: the last lock. Whatever the planner says, EraseDevice
// leaves for a corporate device with the right, and for nobody else.
func TestEraseIsHeldBack(t *testing.T) {
	t.Parallel()
	enrolments := []struct {
		name      string
		ownership mdm.Ownership
		rights    int
		may       bool
	}{
		{"corporate with the right", mdm.Corporate, 7999, true},
		{"corporate without the right", mdm.Corporate, 7991, false},
		{"personal", mdm.Personal, 7991, false},
		{"made personal later", mdm.Personal, 7999, false},
		{"of no known ownership", "", 8191, false},
	}
	for _, e := range enrolments {
		for name, command := range erasers(t) {
			t.Run(e.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				d.up.enrollment.Ownership, d.up.enrollment.AccessRights = e.ownership, e.rights
				d.up.order = &Order{ID: "C1", Command: command}
				body, err := d.send(t, map[string]any{"Status": "Idle", "UDID": udid})
				if err != nil || (len(body) > 0) != e.may {
					t.Fatalf("got %d bytes, %v", len(body), err)
				}
				if !Erases(command) {
					t.Error("Erases does not see it")
				}
				if e.may {
					if len(d.log.entries) != 0 {
						t.Errorf("got rows %+v", d.log.entries)
					}
					return
				}
				if len(d.log.entries) != 1 || d.log.entries[0].Outcome != audit.Refused || d.log.entries[0].Target != "E1" ||
					d.log.entries[0].Action != "mdm.command" || d.log.entries[0].Detail["command"] != "C1" {
					t.Errorf("got rows %+v", d.log.entries)
				}
			})
		}
	}
}

// TestHeldBackWhateverThePlan: a planner that says anything at all never gets
// EraseDevice out to a personal device.
func TestHeldBackWhateverThePlan(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.up.enrollment.Ownership, d.up.enrollment.AccessRights = mdm.Personal, 8191
	word := rapid.OneOf(rapid.SampledFrom([]string{"EraseDevice", "erasedevice", " EraseDevice ", "ERASEDEVICE\u2060", "DeviceLock", "Settings"}), rapid.StringMatching(`[ -~]{0,12}`))
	rapid.Check(t, func(r *rapid.T) {
		dict := map[string]any{}
		for key, value := range rapid.MapOfN(rapid.OneOf(rapid.Just("RequestType"), word), word, 0, 4).Draw(r, "keys") {
			dict[key] = value
		}
		dict["RequestType"] = word.Draw(r, "type")
		d.up.order = &Order{ID: "C1", Command: raw(t, dict)}
		body, err := d.send(t, map[string]any{"Status": "Idle", "UDID": udid})
		if err != nil {
			r.Fatal(err)
		}
		if strings.Contains(strings.ToLower(strings.Join(strings.Fields(string(body)), "")), "<key>requesttype</key><string>erasedevice") {
			r.Fatalf("sent %s", body)
		}
	})
}

func TestOthersDoNotErase(t *testing.T) {
	t.Parallel()
	for _, c := range append(whole(), nil, Raw{}, raw(t, map[string]any{"RequestType": "Settings", "Note": "EraseDevice"})) {
		if _, typed := c.(EraseDevice); !typed && Erases(c) {
			t.Errorf("%T erases", c)
		}
	}
}

// TestRetired: the phone of an enrolment that an admin has ended is told to
// leave, with a row; one that says that it has left is believed. Nobody else is.
func TestRetired(t *testing.T) {
	t.Parallel()
	messages := []map[string]any{
		{"Status": "Idle", "UDID": udid},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C1"},
		{"MessageType": "TokenUpdate", "Topic": "t", "UDID": udid, "Token": []byte{1}, "PushMagic": "m"},
		{"MessageType": "CheckOut", "Topic": "t", "UDID": udid},
	}
	for _, state := range []mdm.EnrollmentState{mdm.Authenticated, mdm.Enrolled, mdm.Configured, mdm.CheckedOut, mdm.Replaced, mdm.Held, mdm.Refused, mdm.Retired} {
		for _, dict := range messages {
			d := newDesk(t)
			d.up.enrollment.State = state
			d.up.order = &Order{ID: "C1", Command: SecurityInfo{}}
			_, err := d.send(t, dict)
			leave := state == mdm.Retired && dict["MessageType"] != "CheckOut"
			if errors.Is(err, ErrRetired) != leave || !leave && err != nil || Refused(err) {
				t.Errorf("%s, %v%v: got %v", state, dict["Status"], dict["MessageType"], err)
			}
			if state == mdm.Retired && len(d.up.calls) != 0 {
				t.Errorf("%v%v: got calls %v", dict["Status"], dict["MessageType"], d.up.calls)
			}
			if leave != (len(d.log.entries) == 1) {
				t.Errorf("%s: got rows %+v", state, d.log.entries)
			}
		}
	}
}

// TestRetiredNeedsProof: nothing but the retired phone's own, whole and signed
// message is answered with ErrRetired.
func TestRetiredNeedsProof(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.up.enrollment.State = mdm.Retired
	body := encode(t, map[string]any{"Status": "Idle", "UDID": udid})
	good := sign(t, body, d.phone)
	for name, r := range map[string]Request{
		"unsigned":           {Body: body},
		"signed by another":  {Body: body, Signature: sign(t, body, newDesk(t).phone)},
		"another body":       {Body: append([]byte(" "), body...), Signature: good},
		"another phone's ID": {Body: encode(t, map[string]any{"Status": "Idle", "UDID": strings.Repeat("0", 40)})},
	} {
		if r.Signature == "" && name != "unsigned" {
			r.Signature = sign(t, r.Body, d.phone)
		}
		if _, err := d.Handle(context.Background(), r); errors.Is(err, ErrRetired) || !Refused(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
