package enroll

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/certs"
	"sallyport/internal/appleschema"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles/mobileconfig"
)

const (
	udidA = "00008110-000A1B2C3D4E801E"
	udidB = "00008110-000A1B2C3D4E801F"
)

var (
	everything = []string{askDevice, askSecurity, installProfile, askProfiles, askCertificates, askRestrictions}
	questions  = []string{askDevice, askSecurity, askProfiles, askCertificates, askRestrictions}
)

func sameTypes(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Fatalf("got -, want +:\n%s", diff)
	}
}

func (h *house) expected(t testing.TB, p *phone) (mail int, acknowledged bool) {
	t.Helper()
	expected, _, err := h.enroll.Expected(context.Background(), p.enrollment(t).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range expected.Mail {
		acknowledged = acknowledged || !profile.AcknowledgedAt.IsZero()
	}
	return len(expected.Mail), acknowledged
}

func TestJourney(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, strings.ToLower(udidA), 0)
	p.join(t)
	e := p.enrollment(t)
	if e.State != mdm.Enrolled || e.UserID != h.alice.ID || e.UDID != udidA || e.AccessRights != 7999 || !e.PollOnly || e.Topic != topic {
		t.Fatalf("got %+v", e)
	}
	if push := h.push[e.ID]; push.Token.Reveal() != "\x01\x02" || push.Magic.Reveal() != "magic" || push.UnlockToken.Reveal() != "\x03" {
		t.Fatal("the push data were not kept")
	}
	sameTypes(t, p.connect(t), everything)
	if e = p.enrollment(t); e.State != mdm.Configured {
		t.Fatalf("got state %s, want configured", e.State)
	}
	expected, report, err := h.enroll.Expected(context.Background(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	item := report.Profiles.Items[0]
	if len(expected.Mail) != 1 || item.Identifier != expected.Mail[0].Identifier || item.UUID != expected.Mail[0].UUID || expected.Mail[0].AcknowledgedAt.IsZero() {
		t.Errorf("expected %+v, reported %+v", expected.Mail, item)
	}
	if expected.Identity.SHA256 != p.hash || expected.Identity.Revoked || !expected.Identity.NotAfter.Equal(p.identity.Certificate.NotAfter) ||
		report.Certificates.Items[0].SHA256 != p.hash || report.Device.EASDeviceID != "EAS"+strings.ToLower(udidA) || expected.Groups[0] != "sales" {
		t.Errorf("got %+v, %+v", expected, report)
	}

	// The next connection asks again (max age 0) and installs nothing.
	sameTypes(t, p.connect(t), questions)
	h.enroll.InquiryMaxAge = time.Hour
	sameTypes(t, p.connect(t), nil)

	// A changed template is delivered at the next contact, under the same identifier.
	h.revisions[0].Spec.Accounts[0].Host = "mail2.example.test"
	h.revisions[0].Number = 2
	if n, acknowledged := h.expected(t, p); n != 1 || acknowledged {
		t.Error("the old revision's acknowledgement counts for the new one")
	}
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles})
	if len(p.held) != 1 || p.scep != 2 {
		t.Errorf("the phone holds %d profiles and enrolled %d times", len(p.held), p.scep)
	}

	// Nothing of a removed user's is delivered or asked any more.
	h.enroll.InquiryMaxAge = 0
	delete(h.users, h.alice.ID)
	sameTypes(t, p.connect(t), nil)
	gone, _, err := h.enroll.Expected(context.Background(), e.ID)
	if err != nil || !gone.UserRemoved || gone.Mail != nil {
		t.Errorf("got %+v, %v", gone, err)
	}

	if err := p.checkOut(t); err != nil {
		t.Fatal(err)
	}
	ended := p.h.state()
	sameTypes(t, p.connect(t), nil) // an ended enrolment is told nothing and not refused
	if err := p.checkOut(t); err != nil {
		t.Errorf("checking out twice: %v", err)
	}
	if diff := cmp.Diff(p.h.state(), ended); diff != "" {
		t.Errorf("an ended enrolment changed:\n%s", diff)
	}
	if err := p.tokenUpdate(t); !errors.Is(err, ErrConflict) || !apple.Refused(err) {
		t.Errorf("TokenUpdate after CheckOut: got %v, want ErrConflict", err)
	}
	if err := p.authenticate(t); !errors.Is(err, apple.ErrUnauthenticated) { // the identity was revoked with the end
		t.Errorf("Authenticate after CheckOut: got %v, want ErrUnauthenticated", err)
	}
}

// TestEnrollmentProfile checks what Apple freezes, and what must stay the same
// so that a phone that enrols again replaces what it has.
func TestEnrollmentProfile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tests := []struct {
		ownership mdm.Ownership
		rights    uint64
	}{{mdm.Corporate, 7999}, {mdm.Personal, 7991}, {"", 7991}}
	first := map[string]any{}
	for _, test := range tests {
		issued, code := h.invite(t, h.alice.UPN, test.ownership)
		signed, err := h.enroll.EnrollmentProfile(context.Background(), strings.ToLower(code), "ignored")
		if err != nil {
			t.Fatal(err)
		}
		trust := h.trust()
		trust.Now = noon
		profile, _, err := mobileconfig.DecodeSigned(signed, trust)
		if err != nil {
			t.Fatal(err)
		}
		payloads := profile["PayloadContent"].([]any)
		for i, want := range []string{"com.apple.security.root", "com.apple.security.scep", "com.apple.mdm"} {
			if got := payloads[i].(map[string]any)["PayloadType"]; got != want {
				t.Errorf("payload %d: got %s, want %s", i, got, want)
			}
		}
		management := payloads[2].(map[string]any)
		if management["AccessRights"] != test.rights || management["Topic"] != topic || management["SignMessage"] != true || management["CheckOutWhenRemoved"] != true ||
			management["ServerURL"] != "https://mdm.example.test/mdm" {
			t.Errorf("got %v", management)
		}
		secret := challenge(t, payloads)
		want := certs.Grant{Rule: certs.RuleMDMIdentity, CommonName: h.alice.UPN, UPN: h.alice.UPN, Mail: h.alice.Email,
			UserID: string(h.alice.ID), InvitationID: string(issued.Invitation.ID)}
		if diff := cmp.Diff(h.grants[secret], want); diff != "" || h.ttl[secret] != 15*time.Minute {
			t.Errorf("grant for %v: got -, want +:\n%s", h.ttl[secret], diff)
		}
		for _, p := range payloads {
			dict := p.(map[string]any)
			key := dict["PayloadType"].(string)
			id := [2]any{dict["PayloadIdentifier"], dict["PayloadUUID"]}
			if before, ok := first[key]; ok && before != id {
				t.Errorf("%s changed from %v to %v", key, before, id)
			}
			first[key] = id
		}
	}
	if first["com.apple.mdm"].([2]any)[0] != "test.example.mdm.sallyport.enrollment.mdm" {
		t.Errorf("got identifier %v", first["com.apple.mdm"])
	}
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	if AccessRights(mdm.Corporate) != 7999 || AccessRights(mdm.Personal) != 7991 || AccessRights("") != 7991 {
		t.Error("rights differ from what architecture rule 11 says")
	}
}

// TestApplesSchema plays a whole conversation and holds each command and each
// profile against Apple's schema.
func TestApplesSchema(t *testing.T) {
	t.Parallel()
	schema := appleschema.Open(t)
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	answer := map[string]any{"Status": "Idle", "UDID": p.udid}
	seen := map[string]bool{}
	for {
		body, err := p.send(t, answer)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) == 0 {
			break
		}
		_, command := decodeCommand(t, body)
		schema.CheckCommand(t, command)
		seen[command["RequestType"].(string)] = true
		answer = p.obey(t, body)
		schema.CheckResult(t, command["RequestType"].(string), answer)
	}
	if len(seen) != len(everything) {
		t.Errorf("saw %v", seen)
	}
	for _, profile := range p.held {
		schema.CheckProfile(t, profile)
	}
	for _, ownership := range []mdm.Ownership{mdm.Corporate, mdm.Personal} {
		_, code := h.invite(t, h.alice.UPN, ownership)
		signed, err := h.enroll.EnrollmentProfile(context.Background(), code, "")
		if err != nil {
			t.Fatal(err)
		}
		trust := h.trust()
		trust.Now = noon
		profile, _, err := mobileconfig.DecodeSigned(signed, trust)
		if err != nil {
			t.Fatal(err)
		}
		schema.CheckProfile(t, profile)
	}
}

func TestTempers(t *testing.T) {
	t.Parallel()
	installs := func(h *house) (n int) {
		for _, c := range h.commands {
			if c.RequestType == installProfile {
				n++
			}
		}
		return n
	}
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		p := h.newPhone(t, h.alice.UPN, udidA, 0)
		p.join(t)
		p.locked = true
		sameTypes(t, p.connect(t), everything)
		if p.enrollment(t).State != mdm.Enrolled {
			t.Error("configured without a profile")
		}
		p.locked = false
		p.connect(t)
		if p.enrollment(t).State != mdm.Configured || installs(h) != 2 {
			t.Errorf("got %s after %d installations", p.enrollment(t).State, installs(h))
		}
	})
	t.Run("fails", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		p := h.newPhone(t, h.alice.UPN, udidA, 0)
		p.join(t)
		p.fails = installProfile
		p.connect(t)
		p.connect(t) // within the first minute
		if installs(h) != 1 || p.enrollment(t).State != mdm.Enrolled {
			t.Errorf("installed %d times within a minute", installs(h))
		}
		if h.commands[2].Error != "not unique (MCEASErrorDomain 21005)" {
			t.Errorf("the phone's own words were lost: %+v", h.commands[2])
		}
		h.sleep(time.Minute)
		p.fails = ""
		p.connect(t)
		if installs(h) != 2 || p.enrollment(t).State != mdm.Configured {
			t.Errorf("got %s after %d installations", p.enrollment(t).State, installs(h))
		}
	})
	t.Run("answers without facts", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		p := h.newPhone(t, h.alice.UPN, udidA, 0)
		p.join(t)
		p.silent = true
		sameTypes(t, p.connect(t), questions)
	})
	t.Run("breaks off in the middle of an installation", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		p := h.newPhone(t, h.alice.UPN, udidA, 0)
		p.join(t)
		answer := map[string]any{"Status": "Idle", "UDID": p.udid}
		for len(p.asked) == 0 || p.asked[len(p.asked)-1] != installProfile {
			body, err := p.send(t, answer)
			if err != nil {
				t.Fatal(err)
			}
			answer = p.obey(t, body)
		}
		p.connect(t) // the acknowledgement never arrived, but the profile is there
		if p.scep != 1 || p.enrollment(t).State != mdm.Configured {
			t.Errorf("installed %d times, state %s", p.scep, p.enrollment(t).State)
		}
		// The acknowledgement arrives late: nothing is planned differently.
		if _, err := p.send(t, answer); err != nil {
			t.Fatal(err)
		}
		if _, acknowledged := h.expected(t, p); !acknowledged {
			t.Error("a late acknowledgement was lost")
		}
	})
	t.Run("does not get our answer", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		p := h.newPhone(t, h.alice.UPN, udidA, 0)
		p.join(t)
		body, err := p.send(t, map[string]any{"Status": "Idle", "UDID": p.udid})
		if err != nil {
			t.Fatal(err)
		}
		answer := p.obey(t, body)
		lost, err := p.send(t, answer)
		if err != nil {
			t.Fatal(err)
		}
		before := h.state()
		again, err := p.send(t, answer)
		if err != nil || string(again) != string(lost) {
			t.Errorf("the repeated result was not answered alike: %v", err)
		}
		after := h.state()
		for _, key := range []string{"commands", "reports", "events", "devices"} {
			if diff := cmp.Diff(after[key], before[key]); diff != "" {
				t.Errorf("a repeated result changed %s:\n%s", key, diff)
			}
		}
	})
}

func TestReplaysChangeNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	var answers []map[string]any
	answer := map[string]any{"Status": "Idle", "UDID": p.udid}
	for {
		body, err := p.send(t, answer)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) == 0 {
			break
		}
		answer = p.obey(t, body)
		answers = append(answers, answer)
	}
	before := h.state()
	e := p.enrollment(t)
	for range 20 {
		for _, old := range answers {
			if body, err := p.send(t, old); err != nil || len(body) != 0 {
				t.Fatalf("a replay was answered with %d bytes, %v", len(body), err)
			}
		}
		if err := p.authenticate(t); err != nil {
			t.Fatal(err)
		}
		if err := p.tokenUpdate(t); err != nil {
			t.Fatal(err)
		}
	}
	after := h.state()
	for _, key := range []string{"users", "invitations", "devices", "reports", "commands", "events", "push"} {
		if diff := cmp.Diff(after[key], before[key]); diff != "" {
			t.Errorf("replays changed %s:\n%s", key, diff)
		}
	}
	now := p.enrollment(t)
	now.LastSeenAt = e.LastSeenAt
	if diff := cmp.Diff(now, e); diff != "" {
		t.Errorf("replays changed the enrolment:\n%s", diff)
	}
}

func TestReenrolmentReplaces(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old := h.newPhone(t, h.alice.UPN, udidA, 0)
	old.join(t)
	old.connect(t)
	fresh := h.newPhone(t, h.alice.UPN, udidA, 1)
	fresh.join(t)
	if old.enrollment(t).State != mdm.Replaced || fresh.enrollment(t).State != mdm.Enrolled || fresh.enrollment(t).DeviceID != old.enrollment(t).DeviceID {
		t.Errorf("old %+v, fresh %+v", old.enrollment(t), fresh.enrollment(t))
	}
	sameTypes(t, old.connect(t), nil)
	sameTypes(t, fresh.connect(t), everything)
	rows, err := h.enroll.ListDevices(context.Background(), DeviceFilter{})
	if err != nil || len(rows) != 1 || rows[0].Enrollment.State != mdm.Configured {
		t.Errorf("got %+v, %v", rows, err)
	}
	commands, err := h.enroll.DeviceCommands(context.Background(), rows[0].Device.ID)
	if err != nil || len(commands) != len(everything) {
		t.Errorf("got %d commands, %v", len(commands), err)
	}
}

// TestUnrenderableTemplate: a template that cannot be made for one user holds
// up nothing else, and shows in what compliance expects.
func TestUnrenderableTemplate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	broken := mailTemplate("%first_name%@example.test%nothing%")
	broken.Name, broken.TemplateID = "a-broken-one", "01993b1e-0000-7000-8000-000000000002"
	broken.Spec.Accounts[0].Host = "other.example.test"
	h.revisions = append(h.revisions, broken)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	sameTypes(t, p.connect(t), everything)
	if p.enrollment(t).State != mdm.Enrolled {
		t.Error("configured, though a wanted profile is missing")
	}
	expected, _, err := h.enroll.Expected(context.Background(), p.enrollment(t).ID)
	if err != nil || len(expected.Mail) != 2 || expected.Mail[0].Name != "a-broken-one" || expected.Mail[0].UUID != "" || !expected.Mail[0].AcknowledgedAt.IsZero() {
		t.Errorf("got %+v, %v", expected.Mail, err)
	}
}
