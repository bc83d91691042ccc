package enroll

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles/mobileconfig"
)

// carol orders, dave agrees.
func carol(t testing.TB) context.Context { return audit.WithActor(t.Context(), "carol") }
func dave(t testing.TB) context.Context  { return audit.WithActor(t.Context(), "dave") }

// configured is a corporate phone of alice's that has everything it should.
func configured(t testing.TB) (*house, *phone) {
	t.Helper()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	return h, p
}

// request asks for an act upon a phone, with its name typed.
func (p *phone) request(t testing.TB, kind mdm.ActionKind) OrderRequest {
	t.Helper()
	id := p.enrollment(t).DeviceID
	row, err := p.h.enroll.Device(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return OrderRequest{DeviceID: id, Kind: kind, Confirm: " " + deviceName(row) + "\n", Role: auth.Admin}
}

func (p *phone) ask(t testing.TB, r OrderRequest) mdm.Action {
	t.Helper()
	act, _, err := p.h.enroll.Order(carol(t), r)
	if err != nil {
		t.Fatalf("order %s: %v", r.Kind, err)
	}
	return act
}

// standing is how an act stands.
func (h *house) standing(t testing.TB, id mdm.ActionID) mdm.Action {
	t.Helper()
	act, err := h.enroll.Action(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return act
}

// dismissed polls once more after an admin has ended the enrolment.
func (p *phone) dismissed(t testing.TB) {
	t.Helper()
	body, err := p.send(t, map[string]any{"Status": "Idle", "UDID": p.udid})
	if !errors.Is(err, apple.ErrRetired) || len(body) > 0 {
		t.Errorf("a retired phone polls: got %d bytes, %v", len(body), err)
	}
}

func (h *house) change(id mdm.EnrollmentID, with func(*mdm.Enrollment)) {
	defer h.lock()()
	e := h.enrollments[id]
	with(&e)
	h.enrollments[id] = e
}

func (h *house) trail(action string) (n int) {
	defer h.lock()()
	for _, e := range h.memory.audit {
		if e.Action == action {
			n++
		}
	}
	return n
}

// TestActs: each act, from the order to the phone's answer.
func TestActs(t *testing.T) {
	t.Parallel()
	raw := []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>RequestType</key><string>DeviceLock</string></dict></plist>`)
	tests := []struct {
		kind       mdm.ActionKind
		parameters mdm.ActionParameters
		prepare    func(*phone)
		asked      []string
		then       []string // what follows, beside what was ordered
		state      mdm.EnrollmentState
		withheld   mdm.Withholding
	}{
		{kind: mdm.ActionWipe, asked: []string{eraseDevice}, state: mdm.Retired, withheld: mdm.WithholdEverything},
		{kind: mdm.ActionRetire, asked: []string{removeProfile}, state: mdm.Retired, withheld: mdm.WithholdEverything},
		{kind: mdm.ActionSelectiveWipe, asked: []string{removeProfile, removeProfile, askProfiles}, state: mdm.Enrolled, withheld: mdm.WithholdEverything},
		{kind: mdm.ActionRemovePolicies, asked: []string{removeProfile, askProfiles}, state: mdm.Configured, withheld: mdm.WithholdPolicies},
		{kind: mdm.ActionLock, parameters: mdm.ActionParameters{Message: "Lost", PhoneNumber: "+49 30 1"}, asked: []string{deviceLock}, state: mdm.Configured},
		{kind: mdm.ActionClearPasscode, asked: []string{clearPasscode}, state: mdm.Configured},
		{kind: mdm.ActionRename, parameters: mdm.ActionParameters{Name: " Front desk "}, prepare: func(p *phone) { p.supervised = true }, asked: []string{settings}, state: mdm.Configured},
		{kind: mdm.ActionResend, asked: []string{installProfile}, then: []string{askCertificates}, state: mdm.Configured},
		{kind: mdm.ActionQuery, parameters: mdm.ActionParameters{Query: askApplications}, asked: []string{askApplications}, state: mdm.Configured},
		{kind: mdm.ActionCommand, parameters: mdm.ActionParameters{Raw: raw}, asked: []string{deviceLock}, state: mdm.Configured},
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.enroll.InquiryMaxAge = time.Hour
			h.policies = append(h.policies, securityPolicy("staff", 6))
			p := h.newPhone(t, h.alice.UPN, udidA, 0)
			if test.prepare != nil {
				test.prepare(p)
			}
			p.join(t)
			p.connect(t)
			r := p.request(t, test.kind)
			r.Parameters = test.parameters

			dry := r
			dry.DryRun, dry.Confirm = true, ""
			before := len(h.acts)
			_, plan, err := h.enroll.Order(carol(t), dry)
			if err != nil || len(plan.Refused) > 0 || len(plan.Effects) == 0 || len(h.acts) != before || h.devices[r.DeviceID].Label != "" {
				t.Fatalf("dry run: got %+v, %v", plan, err)
			}
			var planned []string
			for _, c := range plan.Commands {
				planned = append(planned, c.RequestType)
			}
			sameTypes(t, planned, test.asked)

			act := p.ask(t, r)
			if act.State != mdm.ActionPending || act.RequestedBy != "carol" || !act.ExpiresAt.After(act.RequestedAt) {
				t.Errorf("got %+v", act)
			}
			if e := p.enrollment(t); e.Withheld != test.withheld {
				t.Errorf("withheld %q at once, want %q", e.Withheld, test.withheld)
			}
			sameTypes(t, p.connect(t), append(test.asked, test.then...))
			act = h.standing(t, act.ID)
			if act.State != mdm.ActionAcknowledged || act.SentAt.IsZero() || act.DoneAt.Before(act.SentAt) {
				t.Errorf("got %+v", act)
			}
			if e := p.enrollment(t); e.State != test.state || e.Withheld != test.withheld {
				t.Errorf("got %s, withheld %q, want %s, %q", e.State, e.Withheld, test.state, test.withheld)
			}
			if test.state == mdm.Retired {
				p.dismissed(t)
			} else {
				sameTypes(t, p.connect(t), nil) // once is enough
			}
			if h.trail("action.order") != 1 {
				t.Errorf("%d audit entries of the order", h.trail("action.order"))
			}
		})
	}
}

// TestActsSayWhatTheyMust: what the phone is told, beyond its type.
func TestActsSayWhatTheyMust(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	r := p.request(t, mdm.ActionLock)
	r.Parameters = mdm.ActionParameters{Message: "Lost", PhoneNumber: "+49 30 1"}
	p.ask(t, r)
	p.ask(t, p.request(t, mdm.ActionClearPasscode))
	sameTypes(t, p.connect(t), []string{deviceLock, clearPasscode})
	if got := p.told[deviceLock]; got["Message"] != "Lost" || got["PhoneNumber"] != "+49 30 1" {
		t.Errorf("got %v", got)
	}
	if got := p.told[clearPasscode]["UnlockToken"].([]byte); string(got) != "\x03" {
		t.Errorf("got %v", got)
	}
	p.ask(t, p.request(t, mdm.ActionRetire))
	p.connect(t)
	if got := p.told[removeProfile]["Identifier"]; got != "test.example.mdm.sallyport.enrollment" {
		t.Errorf("got %v", got)
	}
	if cert := h.certs[p.hash]; cert.RevokedAt.IsZero() {
		t.Error("the identity of a retired phone still holds")
	}
	if err := p.checkOut(t); err != nil {
		t.Errorf("a retired phone checks out: %v", err)
	}
}

// TestRename: the label at once and for everybody; the phone only where it obeys.
func TestRename(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	r := p.request(t, mdm.ActionRename)
	r.Parameters.Name = "Front desk"
	act := p.ask(t, r)
	if act.ID != "" || act.State != mdm.ActionAcknowledged || len(h.acts) != 0 {
		t.Errorf("got %+v", act)
	}
	if h.devices[r.DeviceID].Label != "Front desk" {
		t.Error("the label was not set")
	}
	sameTypes(t, p.connect(t), nil)
	wipe := OrderRequest{DeviceID: r.DeviceID, Kind: mdm.ActionWipe, Confirm: "Front desk", Role: auth.Admin}
	p.ask(t, wipe) // the label is the name that must be typed
}

// TestOrdersRefused: the field, the reason, and nothing changed.
func TestOrdersRefused(t *testing.T) {
	t.Parallel()
	command := func(body string) []byte {
		return []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>` + body + `</dict></plist>`)
	}
	kind := func(k string) string { return "<key>RequestType</key><string>" + k + "</string>" }
	tests := []struct {
		name   string
		kind   mdm.ActionKind
		set    func(t *testing.T, h *house, p *phone, r *OrderRequest)
		want   error
		field  string
		reason string
	}{
		{"no such act", "explode", nil, ErrInvalid, "kind", "is no act"},
		{"no such device", mdm.ActionLock, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.DeviceID = "nobody" }, ErrNotFound, "id", "no such device"},
		{"wipe of a personal device", mdm.ActionWipe, func(t *testing.T, h *house, p *phone, _ *OrderRequest) {
			h.change(p.enrollment(t).ID, func(e *mdm.Enrollment) { e.Ownership = mdm.Personal })
		}, ErrAction, "kind", "never erased"},
		{"wipe without the right", mdm.ActionWipe, func(t *testing.T, h *house, p *phone, _ *OrderRequest) {
			h.change(p.enrollment(t).ID, func(e *mdm.Enrollment) { e.AccessRights &^= mdm.RightErase })
		}, ErrAction, "kind", "did not grant the right"},
		{"lock without the right", mdm.ActionLock, func(t *testing.T, h *house, p *phone, _ *OrderRequest) {
			h.change(p.enrollment(t).ID, func(e *mdm.Enrollment) { e.AccessRights &^= mdm.RightLock })
		}, ErrAction, "kind", "did not grant the right"},
		{"name not typed", mdm.ActionWipe, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Confirm = "" }, ErrInvalid, "confirm", "not the name"},
		{"name in another case", mdm.ActionRetire, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Confirm = strings.ToLower(r.Confirm) }, ErrInvalid, "confirm", "not the name"},
		{"name of a selective wipe", mdm.ActionSelectiveWipe, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Confirm = "x" }, ErrInvalid, "confirm", "not the name"},
		{"clear passcode by an operator", mdm.ActionClearPasscode, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Role = auth.Operator }, auth.ErrForbidden, "kind", "which may not do this"},
		{"raw by an operator", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			r.Role, r.Parameters.Raw = auth.Operator, command(kind("DeviceLock"))
		}, auth.ErrForbidden, "kind", "which may not do this"},
		{"raw by nobody", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			r.Role, r.Parameters.Raw = "", command(kind("DeviceLock"))
		}, auth.ErrForbidden, "kind", "which may not do this"},
		{"no unlock token", mdm.ActionClearPasscode, func(t *testing.T, h *house, p *phone, _ *OrderRequest) {
			push := h.push[p.enrollment(t).ID]
			push.UnlockToken = secret.Value{}
			h.push[p.enrollment(t).ID] = push
		}, ErrAction, "kind", "never sent the token"},
		{"unknown query", mdm.ActionQuery, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Parameters.Query = eraseDevice }, ErrInvalid, "query", "is no query"},
		{"query without the right", mdm.ActionQuery, func(t *testing.T, h *house, p *phone, r *OrderRequest) {
			r.Parameters.Query = askManaged
			h.change(p.enrollment(t).ID, func(e *mdm.Enrollment) { e.AccessRights &^= mdm.RightManageApps })
		}, ErrAction, "query", "did not grant the right"},
		{"message with a wipe", mdm.ActionWipe, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Parameters.Message = "x" }, ErrInvalid, "message", "lock only"},
		{"long message", mdm.ActionLock, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			r.Parameters.Message = strings.Repeat("x", 501)
		}, ErrInvalid, "message", "bytes"},
		{"no name", mdm.ActionRename, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Parameters.Name = " " }, ErrInvalid, "name", "is missing"},
		{"force with a lock", mdm.ActionLock, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Force = true }, ErrInvalid, "force", "retire only"},
		{"force before the second owner", mdm.ActionRetire, func(_ *testing.T, h *house, _ *phone, r *OrderRequest) { r.Force, h.enroll.SecondOwner = true, true }, ErrAction, "force", "second owner"},
		{"a second wipe", mdm.ActionWipe, func(t *testing.T, _ *house, p *phone, r *OrderRequest) { p.ask(t, *r) }, ErrConflict, "kind", "under way"},
		{"not enrolled any more", mdm.ActionLock, func(t *testing.T, _ *house, p *phone, _ *OrderRequest) {
			if err := p.checkOut(t); err != nil {
				t.Fatal(err)
			}
		}, ErrAction, "id", "checked out"},
		{"resend by an operator after a selective wipe", mdm.ActionResend, func(t *testing.T, _ *house, p *phone, r *OrderRequest) {
			r.Role = auth.Operator
			p.ask(t, p.request(t, mdm.ActionSelectiveWipe))
			p.connect(t)
		}, auth.ErrForbidden, "kind", "only an admin gives it back"},
		{"resend by an operator after an expired wipe", mdm.ActionResend, func(t *testing.T, h *house, p *phone, r *OrderRequest) {
			r.Role = auth.Operator
			act := p.ask(t, p.request(t, mdm.ActionWipe))
			if _, err := h.ExpireActions(t.Context(), act.ExpiresAt, 10); err != nil {
				t.Fatal(err)
			}
		}, auth.ErrForbidden, "kind", "only an admin gives it back"},
		{"resend by an operator before the second owner agrees", mdm.ActionResend, func(t *testing.T, h *house, p *phone, r *OrderRequest) {
			r.Role, h.enroll.SecondOwner = auth.Operator, true
			p.ask(t, p.request(t, mdm.ActionWipe))
		}, auth.ErrForbidden, "kind", "only an admin gives it back"},
		{"resend of nothing", mdm.ActionResend, func(_ *testing.T, h *house, _ *phone, _ *OrderRequest) { h.revisions = nil }, ErrAction, "kind", "no mail profile"},
		{"raw is no plist", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) { r.Parameters.Raw = []byte("x") }, ErrInvalid, "raw", "property list"},
		{"raw erases", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			r.Parameters.Raw = command(kind("eraseDEVICE"))
		}, ErrInvalid, "raw", "erases"},
		{"raw retires", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			r.Parameters.Raw = command(kind("RemoveProfile") + "<key>Identifier</key><string> Test.example.mdm.sallyport.enrollment</string>")
		}, ErrInvalid, "raw", "management profile"},
		{"raw removes a profile of ours", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			r.Parameters.Raw = command(kind("RemoveProfile") + "<key>Identifier</key><string>sallyport.mail.T.U</string>")
		}, ErrInvalid, "raw", "profile of this server"},
		{"raw installs a profile of ours", mdm.ActionCommand, func(_ *testing.T, _ *house, _ *phone, r *OrderRequest) {
			// the plist of {PayloadIdentifier: sallyport.mail.T.U}, in base64
			r.Parameters.Raw = command(kind("InstallProfile") + "<key>Payload</key><data>" +
				"PHBsaXN0IHZlcnNpb249IjEuMCI+PGRpY3Q+PGtleT5QYXlsb2FkSWRlbnRpZmllcjwva2V5PjxzdHJpbmc+c2FsbHlwb3J0Lm1haWwuVC5VPC9zdHJpbmc+PC9kaWN0PjwvcGxpc3Q+" + "</data>")
		}, ErrInvalid, "raw", "identifier of this server"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, p := configured(t)
			r := p.request(t, test.kind)
			if r.Confirm != "" && test.kind == mdm.ActionRetire {
				r.Confirm = strings.TrimSpace(r.Confirm)
			}
			if test.set != nil {
				test.set(t, h, p, &r)
			}
			before := len(h.acts)
			_, _, err := h.enroll.Order(carol(t), r)
			list := refusal.All(err)
			if !errors.Is(err, test.want) || len(list) == 0 || list[0].Field != test.field || !strings.Contains(list[0].Reason, test.reason) {
				t.Errorf("got %v, want %v of %s: %s", err, test.want, test.field, test.reason)
			}
			if len(h.acts) != before || h.devices[r.DeviceID].Label != "" {
				t.Error("something was done all the same")
			}
			r.DryRun = true
			if _, plan, err := h.enroll.Order(carol(t), r); r.DeviceID != "nobody" && (err != nil ||
				len(plan.Refused) == 0 && test.field != "confirm" && !errors.Is(test.want, ErrConflict)) {
				t.Errorf("dry run: got %+v, %v", plan, err)
			}
		})
	}
}

// TestMayOrder: one rule says who orders what, and every act has one.
func TestMayOrder(t *testing.T) {
	t.Parallel()
	operators := []mdm.ActionKind{mdm.ActionLock, mdm.ActionRename, mdm.ActionQuery, mdm.ActionResend}
	for _, kind := range append(mdm.ActionKinds(), "explode") {
		for role, may := range map[auth.Role]bool{auth.Admin: true, auth.Operator: slices.Contains(operators, kind), auth.Auditor: false, auth.Engine: false, "": false} {
			if err := MayOrder(role, kind); (err == nil) != may || err != nil && !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("%q orders %s: got %v", role, kind, err)
			}
		}
	}
}

// TestOperatorResends: what nobody took away an operator sends again.
func TestOperatorResends(t *testing.T) {
	t.Parallel()
	_, p := configured(t)
	r := p.request(t, mdm.ActionResend)
	r.Role = auth.Operator
	p.ask(t, r)
	sameTypes(t, p.connect(t), []string{installProfile, askCertificates}) // it has a new one
	policies := p.request(t, mdm.ActionRemovePolicies)
	p.ask(t, policies)
	p.connect(t)
	p.ask(t, r)
}

// TestSignedProfileOfOurs: a raw InstallProfile is looked into though it is signed.
func TestSignedProfileOfOurs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for identifier, want := range map[string]bool{"sallyport.security.U": true, "com.example.wifi": false} {
		profile := mobileconfig.Profile{Identifier: identifier, DisplayName: "x", Payloads: []mobileconfig.Payload{
			mobileconfig.Certificate{Common: mobileconfig.Common{Identifier: identifier + ".root", UUID: mailUUID, DisplayName: "x"}, FileName: "x.cer", DER: h.root.Raw, Root: true},
		}}
		plain, err := profile.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got := h.enroll.carriesOurs(plain); got != want {
			t.Errorf("%s unsigned: got %v", identifier, got)
		}
		signed, err := signProfile(h, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.enroll.carriesOurs(signed); got != want {
			t.Errorf("%s signed: got %v", identifier, got)
		}
	}
	wide := []byte("\xff\xfe") // UTF-16, which hides every identifier from a search for its letters
	for _, r := range `<?xml version="1.0" encoding="UTF-16"?><plist version="1.0"><dict><key>PayloadIdentifier</key><string>sallyport.mail.T.U</string></dict></plist>` {
		wide = append(wide, byte(r), 0)
	}
	if !h.enroll.carriesOurs(wide) || !h.enroll.carriesOurs([]byte("junk")) {
		t.Error("a profile that cannot be read passes")
	}
}

// TestSecondOwner: who orders cannot approve, and nothing happens before.
func TestSecondOwner(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	h.enroll.SecondOwner = true
	act := p.ask(t, p.request(t, mdm.ActionWipe))
	if act.State != mdm.ActionUnapproved || p.enrollment(t).Withheld != mdm.WithholdNothing {
		t.Fatalf("got %+v, withheld %q", act, p.enrollment(t).Withheld)
	}
	sameTypes(t, p.connect(t), nil)
	if _, err := h.enroll.Approve(audit.WithActor(t.Context(), "Carol "), act.ID); !errors.Is(err, ErrAction) {
		t.Errorf("who ordered approves: got %v", err)
	}
	h.memory.hand = map[string]string{"sock": "carol"}
	if _, err := h.enroll.Approve(audit.WithActor(t.Context(), "sock"), act.ID); !errors.Is(err, ErrAction) || !strings.Contains(refusal.All(err)[0].Remedy, "somebody else made") {
		t.Errorf("who ordered approves with a token of another name: got %v", err)
	}
	got, err := h.enroll.Approve(dave(t), act.ID)
	if err != nil || got.State != mdm.ActionPending || got.ApprovedBy != "dave" || p.enrollment(t).Withheld != mdm.WithholdEverything {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := h.enroll.Approve(dave(t), act.ID); !errors.Is(err, ErrConflict) {
		t.Errorf("approved twice: got %v", err)
	}
	sameTypes(t, p.connect(t), []string{eraseDevice})

	// Selective wipes take one person.
	other, q := configured(t)
	other.enroll.SecondOwner = true
	if act := q.ask(t, q.request(t, mdm.ActionSelectiveWipe)); act.State != mdm.ActionPending {
		t.Errorf("got %s", act.State)
	}
	// Force follows consent.
	retire := q.ask(t, q.request(t, mdm.ActionRetire))
	if _, err := other.enroll.Approve(dave(t), retire.ID); err != nil {
		t.Fatal(err)
	}
	r := q.request(t, mdm.ActionRetire)
	r.Force = true
	// Consent that is taken back while the forced order is under way is none.
	row, err := other.enroll.Device(carol(t), r.DeviceID)
	if err != nil {
		t.Fatal(err)
	}
	late := &ordering{s: other.enroll, request: r, row: row}
	if plan, err := late.plan(carol(t)); err != nil || len(plan.Refused) > 0 {
		t.Fatalf("got %+v, %v", plan, err)
	}
	if _, err := other.enroll.Cancel(dave(t), retire.ID); err != nil {
		t.Fatal(err)
	}
	forced := mdm.Action{ID: "forced", EnrollmentID: row.Enrollment.ID, Kind: mdm.ActionRetire, State: mdm.ActionPending}
	if _, err := late.retireNow(carol(t), forced); !errors.Is(err, ErrAction) || q.enrollment(t).State == mdm.Retired {
		t.Errorf("got %v, %s", err, q.enrollment(t).State)
	}
	plain := r
	plain.Force = false
	retire = q.ask(t, plain)
	if _, err := other.enroll.Approve(dave(t), retire.ID); err != nil {
		t.Fatal(err)
	}
	if got := q.ask(t, r); got.ID != retire.ID || got.State != mdm.ActionAcknowledged || q.enrollment(t).State != mdm.Retired {
		t.Errorf("got %+v, %s", got, q.enrollment(t).State)
	}
}

// TestForce: an enrolment ends without its phone, in whatever state it is.
func TestForce(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	lock := p.ask(t, p.request(t, mdm.ActionLock))
	r := p.request(t, mdm.ActionRetire)
	r.Force = true
	act := p.ask(t, r)
	if act.State != mdm.ActionAcknowledged || p.enrollment(t).State != mdm.Retired || h.standing(t, lock.ID).State != mdm.ActionCancelled {
		t.Errorf("got %+v, %s, %+v", act, p.enrollment(t).State, h.standing(t, lock.ID))
	}
	p.dismissed(t)
	early := h.newPhone(t, h.bob.UPN, udidB, 1)
	if err := early.authenticate(t); err != nil {
		t.Fatal(err)
	}
	r = early.request(t, mdm.ActionRetire)
	r.Force = true
	if act := early.ask(t, r); act.ID != "" || early.enrollment(t).State != mdm.Retired {
		t.Errorf("got %+v, %s", act, early.enrollment(t).State)
	}
}

// TestCancel: until the phone has taken it, and what was withheld comes back.
func TestCancel(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	act := p.ask(t, p.request(t, mdm.ActionWipe))
	if _, err := h.enroll.Cancel(dave(t), act.ID); err != nil {
		t.Fatal(err)
	}
	if e := p.enrollment(t); e.Withheld != mdm.WithholdNothing {
		t.Errorf("withheld %q", e.Withheld)
	}
	sameTypes(t, p.connect(t), nil)
	act = p.ask(t, p.request(t, mdm.ActionSelectiveWipe))
	if _, err := p.send(t, map[string]any{"Status": "Idle", "UDID": p.udid}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.enroll.Cancel(dave(t), act.ID); !errors.Is(err, ErrConflict) {
		t.Errorf("the phone has taken it: got %v", err)
	}
	if _, err := h.enroll.Cancel(dave(t), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestSelectiveWipeAndBack: also though a template cannot be made any more.
func TestSelectiveWipeAndBack(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	broken := mailTemplate("%first_name%@example.test%nothing%")
	broken.Name, broken.TemplateID = "a-broken-one", "01993b1e-0000-7000-8000-000000000002"
	broken.Spec.Accounts[0].Host = "other.example.test"
	h.revisions = append(h.revisions, broken)
	act := p.ask(t, p.request(t, mdm.ActionSelectiveWipe))
	expected, _, err := h.enroll.Expected(t.Context(), p.enrollment(t).ID)
	if err != nil || expected.Withheld != mdm.WithholdEverything || expected.Withdrawal.Act != "a selective wipe" || expected.Withdrawal.By != "carol" || len(expected.Mail) != 0 {
		t.Errorf("got %+v, %v", expected, err)
	}
	p.connect(t)
	if len(p.held) != 0 || h.standing(t, act.ID).State != mdm.ActionAcknowledged || p.enrollment(t).State != mdm.Enrolled {
		t.Errorf("the phone holds %d profiles, act %s", len(p.held), h.standing(t, act.ID).State)
	}
	sameTypes(t, p.connect(t), nil)
	h.revisions = h.revisions[:1]
	p.ask(t, p.request(t, mdm.ActionResend))
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles, askCertificates})
	if e := p.enrollment(t); len(p.held) != 1 || e.State != mdm.Configured || e.Withheld != mdm.WithholdNothing {
		t.Errorf("got %+v with %d profiles", e, len(p.held))
	}
}

// TestOwnership: personal at once, and back only by enrolling again.
func TestOwnershipChanges(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	id := p.enrollment(t).DeviceID
	wipe := p.ask(t, p.request(t, mdm.ActionWipe))
	if err := h.enroll.SetOwnership(carol(t), id, mdm.Personal); err != nil {
		t.Fatal(err)
	}
	if act := h.standing(t, wipe.ID); act.State != mdm.ActionFailed || !strings.Contains(act.Error, "never erased") {
		t.Errorf("got %+v", act)
	}
	sameTypes(t, p.connect(t), []string{removeProfile, askProfiles}) // what was withheld stays so
	if err := h.enroll.SetOwnership(carol(t), id, mdm.Corporate); !errors.Is(err, ErrAction) {
		t.Errorf("back again: got %v", err)
	}
	if err := h.enroll.SetOwnership(carol(t), id, "rented"); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if err := h.enroll.SetOwnership(carol(t), "nobody", mdm.Personal); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestWipeReadsAgain: ownership changes between the plan and the command.
func TestWipeReadsAgain(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	wipe := p.ask(t, p.request(t, mdm.ActionWipe))
	h.beforeCommand = func() {
		e := h.enrollments[p.enrollmentID()]
		e.Ownership = mdm.Personal
		h.enrollments[e.ID] = e
	}
	sameTypes(t, p.connect(t), []string{removeProfile, askProfiles})
	if act := h.standing(t, wipe.ID); act.State != mdm.ActionFailed {
		t.Errorf("got %+v", act)
	}
}

// TestExpiry: what nobody came for ends, and is not begun at the last moment.
func TestExpiry(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	lock := p.ask(t, p.request(t, mdm.ActionLock))
	wipe := p.ask(t, p.request(t, mdm.ActionWipe))
	h.sleep(8 * 24 * time.Hour)
	h.enroll.InquiryMaxAge = 365 * 24 * time.Hour
	more, err := h.enroll.ExpireActions(t.Context())
	if err != nil || more || h.standing(t, lock.ID).State != mdm.ActionExpired || h.standing(t, wipe.ID).State != mdm.ActionPending {
		t.Errorf("got %v, %v, %+v", more, err, h.acts)
	}
	h.sleep(30 * 24 * time.Hour)
	sameTypes(t, p.connect(t), []string{removeProfile, askProfiles}) // not begun any more, and withheld until it is ended
	if _, err := h.enroll.ExpireActions(t.Context()); err != nil || p.enrollment(t).Withheld != mdm.WithholdEverything {
		t.Errorf("a phone that nobody could wipe in time: %v, withheld %q", err, p.enrollment(t).Withheld)
	}
}

// TestListings: acts and commands, in pages.
func TestListings(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	id := p.enrollment(t).DeviceID
	first, second := p.ask(t, p.request(t, mdm.ActionLock)), p.ask(t, p.request(t, mdm.ActionResend))
	acts, err := h.enroll.Actions(t.Context(), id, directory.Page{Limit: 1})
	if err != nil || len(acts) != 1 || acts[0].ID != second.ID {
		t.Errorf("got %+v, %v", acts, err)
	}
	acts, err = h.enroll.Actions(t.Context(), id, directory.Page{After: string(second.ID)})
	if err != nil || len(acts) != 1 || acts[0].ID != first.ID {
		t.Errorf("got %+v, %v", acts, err)
	}
	commands, err := h.enroll.Commands(t.Context(), id, directory.Page{Limit: 2})
	if err != nil || len(commands) != 2 || commands[0].RequestType != askRestrictions {
		t.Fatalf("got %+v, %v", commands, err)
	}
	rest, err := h.enroll.Commands(t.Context(), id, directory.Page{After: string(commands[1].ID)})
	if err != nil || len(rest) != len(everything)-2 {
		t.Errorf("got %d, %v", len(rest), err)
	}
	for _, limit := range []int{-1, 1001} {
		if _, err := h.enroll.Actions(t.Context(), id, directory.Page{Limit: limit}); !errors.Is(err, ErrInvalid) {
			t.Errorf("limit %d: got %v", limit, err)
		}
	}
	if _, err := h.enroll.Commands(t.Context(), "nobody", directory.Page{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestVisibleAtOnce: an act is there at the very next poll, every time.
func TestVisibleAtOnce(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	empty := 0
	for range 300 {
		r := p.request(t, mdm.ActionQuery)
		r.Parameters.Query = askApplications
		p.ask(t, r)
		if got := p.connect(t); len(got) == 0 || got[0] != askApplications { // facts grow old meanwhile, and are asked after it
			empty++
		}
	}
	if empty != 0 {
		t.Errorf("%d of 300 polls did not see the act", empty)
	}
	ids := map[mdm.CommandID]bool{}
	for _, c := range h.commands {
		if ids[c.ID] {
			t.Fatal("a CommandUUID was used twice")
		}
		ids[c.ID] = true
		if id := string(c.ID); id != strings.ToUpper(id) || id[14] != '4' || !strings.ContainsRune("89AB", rune(id[19])) {
			t.Fatalf("%s is not a UUIDv4 in upper case", id)
		}
	}
}
