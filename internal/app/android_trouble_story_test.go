package app_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/audit"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

// TestNotificationsLostDoubledLate: Google promises neither order nor once, and
// nothing that comes so makes a difference.
func TestNotificationsLostDoubledLate(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	ps := r.pubsub
	phone, id, eas := r.mailed(t)

	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	broken := ps.next(t, "a report of the broken phone", posture("POTENTIALLY_COMPROMISED"))
	must(t, phone.Set("posture=SECURE"))
	must(t, phone.Connect(t.Context()))
	whole := ps.next(t, "a report of the repaired phone", posture("SECURE"))

	ps.deliver(t, whole, broken, broken) // the older one comes late, and twice
	if got := r.detail(id).Report.Security.Posture; got != mdm.PostureSecure {
		t.Errorf("an older report won over a newer one: %s", got)
	}
	r.decided(alice, eas, access.Allow)

	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	last := ps.next(t, "a report of the broken phone", posture("POTENTIALLY_COMPROMISED"))
	ps.deliver(t, last, last)
	r.decided(alice, eas, access.Block)
	must(t, phone.Set("posture=SECURE"))
	must(t, phone.Connect(t.Context()))
	comesTrue(t, "the mailbox after the repair", func() bool { ps.flow(t); return r.decide(alice, eas).Effect == access.Allow })

	for _, form := range []string{"status", "enrollment"} {
		kind := map[string]string{"status": "STATUS_REPORT", "enrollment": "ENROLLMENT"}[form]
		must(t, phone.Set("farewell="+form))
		must(t, phone.Unenroll(t.Context()))
		bye := ps.next(t, "a farewell as "+kind, func(n notification) bool { return n.kind == kind && n.data["appliedState"] == "DELETED" })
		ps.deliver(t, bye, bye, last, whole, bye) // twice, and reports of before come after it
		if got := r.detail(id).Enrollment; got.State != string(mdm.CheckedOut) {
			t.Errorf("after DELETED as %s: %+v", kind, got)
		}
		r.decided(alice, eas, access.Block)
		if form == "status" {
			_, phoneID := phone, id
			must(t, phone.Enroll(t.Context(), r.invite(adminapi.InvitationRequest{User: alice}).URL))
			s := r.settles(t, phone, "mail again", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
			comesTrue(t, "the mailbox", func() bool { ps.flow(t); return r.decide(alice, s.EASDeviceID).Effect == access.Allow })
			if s.EASDeviceID != eas || len(r.devices()) != 1 || phoneID != r.theDevice().ID {
				t.Errorf("it came back as another device: %+v", r.devices())
			}
		}
	}
}

// TestListIsTheSafetyNet: all that Google told of a phone was lost, from its
// enrolment on; the list of devices finds it all the same.
func TestListIsTheSafetyNet(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone := r.g.phone(r.client, "")
	must(t, phone.Enroll(t.Context(), r.invite(adminapi.InvitationRequest{User: alice}).URL))
	must(t, phone.Connect(t.Context()))
	if n := len(r.devices()); n != 0 {
		t.Fatalf("%d devices are on record, and nobody has told of any", n)
	}
	r.again(t, time.Hour)
	comesTrue(t, "the list", func() bool { return len(r.devices()) == 1 })
	s := settledPhone(t, phone, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	r.again(t, time.Hour)
	r.decided(alice, s.EASDeviceID, access.Allow)
	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	r.again(t, time.Hour)
	r.decided(alice, s.EASDeviceID, access.Block)
}

// TestRefusedPhoneLeavesOneRow: Google lists a phone for good whose invitation was
// withdrawn before we heard of it. Rows of the trail cannot be deleted: it leaves one,
// and another when it is refused for another reason, whatever restarts in between.
func TestRefusedPhoneLeavesOneRow(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	r.post("/api/v1/users", adminapi.UserInput{UPN: bob, Email: bob, DisplayName: "Bob Example"}, &struct{}{})
	invitation := r.invite(adminapi.InvitationRequest{User: bob})
	phone := r.g.phone(r.client, "")
	must(t, phone.Enroll(t.Context(), invitation.URL))
	if status := r.call(http.MethodDelete, "/api/v1/invitations/"+invitation.ID, "", nil, nil); status != http.StatusNoContent {
		t.Fatalf("withdraw: status %d", status)
	}
	refusals := func() []audit.Entry {
		return slices.DeleteFunc(r.audited("enrollment.enroll"), func(e audit.Entry) bool { return e.Outcome != audit.Refused })
	}
	listed := func() {
		t.Helper()
		calls := r.g.Log().Calls["enterprises.devices.list"]
		r.again(t, time.Hour)
		comesTrue(t, "a list", func() bool { return r.g.Log().Calls["enterprises.devices.list"] > calls })
	}
	listed()
	comesTrue(t, "a row", func() bool { return len(refusals()) == 1 })
	for range 3 {
		listed()
	}
	rows := refusals()
	if len(rows) != 1 || rows[0].Target != invitation.ID || rows[0].Detail["phone"] != show(t, phone).Android.Device || !strings.Contains(rows[0].Detail["reason"], "withdrawn") {
		t.Fatalf("four lists left %d rows: %+v", len(rows), rows)
	}
	must(t, phone.Connect(t.Context()))
	r.pubsub.flow(t) // its reports are no news either
	if rows = refusals(); len(rows) != 1 {
		t.Errorf("a report left a row: %+v", rows)
	}
	if status := r.call(http.MethodDelete, "/api/v1/users/"+bob, "", nil, nil); status != http.StatusNoContent {
		t.Fatalf("remove user: status %d", status)
	}
	listed()
	comesTrue(t, "a row for another reason", func() bool { return len(refusals()) == 2 })
	listed()
	if rows = refusals(); len(rows) != 2 || !strings.Contains(rows[1].Detail["reason"], "user is no more") {
		t.Errorf("two lists after that: %+v", rows)
	}
}

// locksAfter makes the policy of every phone due.
func (c *client) locksAfter(seconds int) {
	c.t.Helper()
	c.applySecurity(fmt.Sprintf("name: locks\nassign: everyone\nsettings: {require_passcode: true, inactivity_seconds: %d}\n", seconds))
}

// TestGoogleInTrouble: whatever Google's API does while policies are due, the phone
// keeps what it has, the mailbox stays open, the doctor says what is wrong, and
// what was due arrives in the end.
func TestGoogleInTrouble(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone, id, eas := r.mailed(t)
	r.locksAfter(60)
	before := r.settles(t, phone, "the security policy", func(s agent.Snapshot) bool { return s.Android.Version > 1 }).Android.Version
	comesTrue(t, "its report", func() bool {
		r.pubsub.flow(t)
		return r.detail(id).Report.Policy.Version >= before
	})
	r.decided(alice, eas, access.Allow)
	stays := func(why string) {
		t.Helper()
		must(t, phone.Connect(t.Context()))
		r.pubsub.flow(t)
		if s := show(t, phone); s.Android.Version != before || len(s.Accounts) != 1 {
			t.Errorf("%s: the phone has version %d of its policy, and mail %+v", why, s.Android.Version, s.Accounts)
		}
		r.decided(alice, eas, access.Allow)
	}
	for i, tt := range []struct {
		trouble agent.AMAPITrouble
		said    string
	}{
		{agent.AMAPITrouble{Kind: "500"}, "Google's service has failed"},
		{agent.AMAPITrouble{Kind: "503"}, "not available"},
		{agent.AMAPITrouble{Kind: "429", After: 3600}, "quota"},
		{agent.AMAPITrouble{Kind: "project"}, "PROJECT_NOT_PERMITTED"},
	} {
		tt.trouble.Times = agent.Always
		r.script(t, tt.trouble)
		r.locksAfter(120 + i)
		comesTrue(t, tt.trouble.Kind+" at the doctor's", func() bool { f := r.finding("phones"); return !f.OK && strings.Contains(f.Next, tt.said) })
		stays(tt.trouble.Kind)
	}
	r.apply(strings.Replace(androidTemplate, "mail.example.test", "post.example.test", 1))
	stays("a change of the mail account that Google has not taken")

	r.script(t, agent.AMAPITrouble{Kind: "timeout", Times: agent.Always})
	calls := r.g.Log().Calls["enterprises.policies.patch"]
	r.locksAfter(180)
	comesTrue(t, "a call that hangs", func() bool { return r.g.Log().Calls["enterprises.policies.patch"] > calls })
	stays("time-out")
	r.stop() // first, or what is due might get through
	r.script(t)
	r.cfg.AMAPIURL = "http://127.0.0.1:1"
	r.again(t, 0)
	comesTrue(t, "nobody at the address", func() bool {
		g, p := r.finding("google"), r.finding("phones")
		return !g.OK && strings.Contains(g.Text, "does not answer") && !p.OK && strings.Contains(p.Next, "does not answer")
	})
	stays("connection refused")

	r.cfg.AMAPIURL = r.g.URL()
	for _, trouble := range []agent.AMAPITrouble{{Kind: "half"}, {Kind: "500", Done: true}} { // Google has done it, and we do not hear so
		trouble.Method, trouble.Times = "enterprises.policies.patch", agent.Always
		r.script(t, trouble)
		r.again(t, 0)
		comesTrue(t, "the trouble at the doctor's", func() bool { return !r.finding("phones").OK })
		must(t, phone.Connect(t.Context()))
		r.pubsub.flow(t)
	}
	r.script(t)
	r.again(t, 0)
	comesTrue(t, "an end of it", func() bool { f := r.finding("phones"); return f.OK && r.finding("google").OK })
	s := r.settles(t, phone, "what was due", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 && s.Accounts[0].Host == "post.example.test" })
	if s.Android.Version <= before || s.EASDeviceID != eas {
		t.Errorf("got %+v", s.Android)
	}
	comesTrue(t, "the mailbox", func() bool { r.pubsub.flow(t); return r.decide(alice, eas).Effect == access.Allow })
}

// TestKeyOfTheServiceAccount: its key was deleted at Google, and another one takes
// its place. What was ordered meanwhile is carried out then.
func TestKeyOfTheServiceAccount(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone, id, eas := r.mailed(t)
	gone, goneID, _ := r.mailed(t)
	must(t, r.g.ReplaceKey())
	r.locksAfter(60)
	lock := r.order(id, adminapi.ActionRequest{Kind: string(mdm.ActionLock)})
	retire := r.order(goneID, adminapi.ActionRequest{Kind: string(mdm.ActionRetire)})
	comesTrue(t, "the doctor's word on both phones", func() bool {
		f := r.finding("phones")
		return !f.OK && strings.Contains(f.Next, "key") && strings.Contains(f.Next, "(2 phones)")
	})
	if f := r.finding("google"); f.OK || !strings.Contains(f.Next, "sallyport android signup") {
		t.Errorf("doctor: %+v", f)
	}
	must(t, phone.Connect(t.Context()))
	must(t, gone.Connect(t.Context()))
	r.pubsub.flow(t)
	for _, act := range []adminapi.Action{r.act(id, lock.ID), r.act(goneID, retire.ID)} {
		if !mdm.ActionState(act.State).Open() {
			t.Errorf("%s was given up: %+v", act.Kind, act)
		}
	}
	if len(show(t, phone).Accounts) != 1 || len(show(t, gone).Accounts) != 1 {
		t.Error("a phone lost its mail")
	}
	r.decided(alice, eas, access.Allow)

	key, err := os.ReadFile(r.g.Account())
	must(t, err)
	var replaced adminapi.AndroidSignedUp
	r.post("/api/v1/android/signup", adminapi.AndroidSignupRequest{ServiceAccount: string(key)}, &replaced)
	if replaced.Page != "" || replaced.NotificationURL != r.pubsub.to {
		t.Errorf("a new key begins a new sign-up: %+v", replaced)
	}
	comesTrue(t, "the work profile removed", func() bool {
		comes(t, gone)
		r.pubsub.flow(t)
		return show(t, gone).Android.ProfilesRemoved == 1
	})
	comesTrue(t, "the lock", func() bool {
		must(t, phone.Connect(t.Context()))
		r.pubsub.flow(t)
		return r.act(id, lock.ID).State == string(mdm.ActionAcknowledged)
	})
	comesTrue(t, "the retirement", func() bool { return r.act(goneID, retire.ID).State == string(mdm.ActionAcknowledged) })
	comesTrue(t, "a content doctor", func() bool { return r.finding("phones").OK && r.finding("google").OK && r.finding("set-up").OK })
	if status := r.call(http.MethodGet, "/healthz", "", nil, nil); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
}

// TestDeviceThatGoogleLost: that Google does not know a phone any more ends nothing
// by itself. It is shown, and the enrolment ends once two lists in a row lack it.
func TestDeviceThatGoogleLost(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	_, stays, _ := r.mailed(t)
	phone, lost, eas := r.mailed(t)
	must(t, r.g.Forget(show(t, phone).Android.Device))
	lock := r.order(lost, adminapi.ActionRequest{Kind: string(mdm.ActionLock)})
	comesTrue(t, "the end of an act", func() bool { lock = r.act(lost, lock.ID); return lock.State == string(mdm.ActionFailed) })
	if !strings.Contains(lock.Error, "Google does not know it") {
		t.Errorf("the act says: %s", lock.Error)
	}
	is := func(state mdm.EnrollmentState, decision access.Effect) {
		t.Helper()
		if got := r.detail(lost).Enrollment; got.State != string(state) {
			t.Errorf("the phone that Google lost is %+v, want %s", got, state)
		}
		r.decided(alice, eas, decision)
		if got := r.detail(stays).Enrollment; got.State != string(mdm.Configured) {
			t.Errorf("the other phone is %+v", got)
		}
	}
	is(mdm.Configured, access.Allow)
	r.again(t, time.Hour)
	comesTrue(t, "the doctor's word", func() bool { f := r.finding("devices"); return strings.Contains(f.Text, "1 phones") && f.Next != "" })
	var settings adminapi.MailSettings
	r.call(http.MethodGet, "/api/v1/devices/"+lost+"/mail", "", nil, &settings)
	if len(settings.Warnings) == 0 || !strings.Contains(settings.Warnings[0], "invite its user anew") {
		t.Errorf("warnings: %q", settings.Warnings)
	}
	is(mdm.Configured, access.Allow)
	r.again(t, time.Hour)
	comesTrue(t, "the end of the enrolment", func() bool { return r.detail(lost).Enrollment.State == string(mdm.CheckedOut) })
	is(mdm.CheckedOut, access.Block)
	comesTrue(t, "a content doctor", func() bool { return r.finding("devices").Text == "" && r.finding("phones").OK })
}

// TestCommandsAreTakenBack: what Google has for a phone that has not come yet is
// taken back there, too; where the phone was faster, the act says so.
func TestCommandsAreTakenBack(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone, id, eas := r.mailedAs(t, "corporate")
	issued := func(kind mdm.ActionKind) adminapi.Action {
		t.Helper()
		calls := r.g.Log().Calls["enterprises.devices.issueCommand"]
		act := r.order(id, adminapi.ActionRequest{Kind: string(kind)})
		comesTrue(t, "the command at Google", func() bool {
			act = r.act(id, act.ID)
			return act.State == string(mdm.ActionSent) && r.g.Log().Calls["enterprises.devices.issueCommand"] > calls
		})
		return act
	}
	cancel := func(act adminapi.Action) (status int) {
		t.Helper()
		comesTrue(t, "an answer of Google's", func() bool { // its operation is noted a moment after the call
			status = r.call(http.MethodDelete, "/api/v1/devices/"+id+"/actions/"+act.ID, "", nil, nil)
			return status != http.StatusConflict || !mdm.ActionState(r.act(id, act.ID).State).Open()
		})
		return status
	}
	wipe := issued(mdm.ActionWipe)
	r.decided(alice, eas, access.Block)
	if status, act := cancel(wipe), r.act(id, wipe.ID); status != http.StatusOK || act.State != string(mdm.ActionCancelled) || act.Error != "" {
		t.Errorf("a wipe was not taken back: status %d, %+v", status, act)
	}
	r.pubsub.flow(t)
	r.pubsub.flow(t)
	s := r.settles(t, phone, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	if s.Android.Resets != 0 || s.Erasures != 0 {
		t.Fatalf("the phone was reset all the same: %+v", s.Android)
	}
	if got := r.act(id, wipe.ID); got.State != string(mdm.ActionCancelled) {
		t.Errorf("afterwards: %+v", got)
	}
	r.decided(alice, eas, access.Allow)

	lock := issued(mdm.ActionLock)
	comesTrue(t, "the lock at the phone", func() bool { // Google counts a call before it has put the command in line
		must(t, phone.Connect(t.Context())) // and nobody tells us
		return show(t, phone).Locked
	})
	if status, act := cancel(lock), r.act(id, lock.ID); status != http.StatusConflict || act.State != string(mdm.ActionAcknowledged) {
		t.Errorf("a lock that the phone has done: status %d, %+v", status, act)
	}
	r.pubsub.flow(t)
	if got := len(r.audited("action.recall")); got < 2 {
		t.Errorf("%d entries on who wanted commands back", got)
	}
}

// TestActsBeyondOneCommand: mail is taken away with all that its app has fetched,
// and given back; security policies are taken away alone; and what a phone was
// asked it answers.
func TestActsBeyondOneCommand(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone, id, eas := r.mailed(t)
	r.locksAfter(60)
	r.settles(t, phone, "the security policy", func(s agent.Snapshot) bool { return s.Android.Version > 1 })
	done := func(in adminapi.ActionRequest) adminapi.ActionDetail {
		t.Helper()
		act := r.order(id, in)
		var detail adminapi.ActionDetail
		comesTrue(t, in.Kind, func() bool {
			must(t, phone.Connect(t.Context()))
			r.pubsub.flow(t)
			r.call(http.MethodGet, "/api/v1/devices/"+id+"/actions/"+act.ID, "", nil, &detail)
			return !mdm.ActionState(detail.State).Open()
		})
		if detail.State != string(mdm.ActionAcknowledged) {
			t.Errorf("%s: %+v", in.Kind, detail)
		}
		return detail
	}
	if told := done(adminapi.ActionRequest{Kind: string(mdm.ActionQuery), Query: "REQUEST_DEVICE_INFO"}); !strings.HasPrefix(told.Result, "EID 89") {
		t.Errorf("what the phone was asked: %q", told.Result)
	}

	cleared := func() int {
		return strings.Count(string(r.body(http.MethodGet, "/api/v1/devices/"+id+"/commands?limit=100", nil)), "CLEAR_APP_DATA")
	}
	done(adminapi.ActionRequest{Kind: string(mdm.ActionSelectiveWipe)})
	r.decided(alice, eas, access.Block)
	if s := show(t, phone); len(s.Accounts) != 0 || cleared() != 1 || s.Android.Device == "" || s.Android.ProfilesRemoved != 0 {
		t.Errorf("after a selective wipe: mail %+v, cleared %d times, %+v", s.Accounts, cleared(), s.Android)
	}
	done(adminapi.ActionRequest{Kind: string(mdm.ActionResend)})
	s := r.settles(t, phone, "mail again", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	if s.EASDeviceID != eas {
		t.Errorf("it presents itself as %s, before as %s", s.EASDeviceID, eas)
	}
	comesTrue(t, "the mailbox", func() bool { r.pubsub.flow(t); return r.decide(alice, eas).Effect == access.Allow })

	version := s.Android.Version
	done(adminapi.ActionRequest{Kind: string(mdm.ActionRemovePolicies)})
	if s := show(t, phone); s.Android.Version <= version || len(s.Accounts) != 1 {
		t.Errorf("after security policies were removed: %+v, mail %+v", s.Android, s.Accounts)
	}
	r.decided(alice, eas, access.Allow)
}
