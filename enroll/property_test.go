package enroll

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"howett.net/plist"
	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// handset is an iPhone as a model: it executes a command once, however often it
// is handed out, keeps an answer until it was taken, and counts.
type handset struct {
	e        mdm.EnrollmentID
	executed map[mdm.CommandID]int
	profiles map[string]string // UUID by identifier
	unsent   *mdm.Contact      // an answer that was not taken yet
	said     []mdm.Contact     // everything that was ever sent: may come again
}

// world is two enrolments under one service: alice's corporate phone, bob's.
type world struct {
	h      *house
	phones []*handset
	given  map[mdm.CommandID]mdm.EnrollmentID
	resent map[mdm.EnrollmentID]bool // an InstallProfile may come again: something allowed it
}

func newWorld(t testing.TB) *world {
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	h.policies = append(h.policies, securityPolicy("staff", 6))
	w := &world{h: h, given: map[mdm.CommandID]mdm.EnrollmentID{}, resent: map[mdm.EnrollmentID]bool{}}
	for i, upn := range []string{h.alice.UPN, h.bob.UPN} {
		p := h.newPhone(t, upn, []string{udidA, udidB}[i], i)
		p.join(t)
		e := p.enrollment(t)
		w.phones = append(w.phones, &handset{e: e.ID, executed: map[mdm.CommandID]int{}, profiles: map[string]string{}})
	}
	return w
}

// contact hands one contact to the service, and what comes back to the phone.
func (w *world) contact(t *rapid.T, p *handset, c mdm.Contact, lost bool) *apple.Order {
	e, err := w.h.enroll.Enrollments.EnrollmentByID(t.Context(), p.e)
	if err != nil {
		t.Fatal(err)
	}
	c.At = w.h.now()
	p.said = append(p.said, c)
	order, err := w.h.hear(t.Context(), e, c)
	if err != nil {
		t.Fatalf("%s: %v", c.Status, err)
	}
	if order == nil {
		return nil
	}
	w.judge(t, p, order)
	if lost {
		return nil
	}
	return order
}

// judge is what must hold of every command that leaves.
func (w *world) judge(t *rapid.T, p *handset, o *apple.Order) {
	if owner, known := w.given[o.ID]; known && owner != p.e {
		t.Fatalf("command %s was given to two enrolments", o.ID)
	}
	w.given[o.ID] = p.e
	e := w.h.enrollments[p.e]
	var row mdm.Command
	for _, c := range w.h.commands {
		if c.ID == o.ID {
			row = c
		}
	}
	if row.EnrollmentID != p.e {
		t.Fatalf("command %s of %q was given to %s", o.ID, row.EnrollmentID, p.e)
	}
	switch c := o.Command.(type) {
	case apple.EraseDevice:
		if !e.MayErase() {
			t.Fatalf("EraseDevice to a %s device with rights %d", e.Ownership, e.AccessRights)
		}
	case apple.RemoveProfile:
		if c.Identifier == w.h.enroll.enrollmentIdentifier() && !w.ordered(p.e, mdm.ActionRetire) {
			t.Fatal("the management profile is removed though nobody retired the device")
		}
		if !ours(c.Identifier) && c.Identifier != w.h.enroll.enrollmentIdentifier() {
			t.Fatalf("a profile of somebody else's is removed: %s", c.Identifier)
		}
	case apple.InstallProfile:
		if row.Subject == w.h.enroll.enrollmentIdentifier() {
			if !renewsManagement(e) {
				t.Fatal("the enrolment profile is sent again though nobody asked for it")
			}
			break
		}
		if p.profiles[row.Subject] == row.Revision && w.acknowledged(p, row) && !w.ordered(p.e, mdm.ActionResend) {
			t.Fatalf("profile %s is installed again though nothing changed", row.Subject)
		}
	}
	if row.ActionID != "" {
		act := w.h.acts[w.h.find(row.ActionID)]
		if act.State != mdm.ActionSent || act.CommandID != o.ID {
			t.Fatalf("act %s is %s as its command leaves", act.Kind, act.State)
		}
	}
}

// acknowledged: the phone has this revision and the server was told so by the
// phone's own list.
func (w *world) acknowledged(p *handset, row mdm.Command) bool {
	facts := w.h.reports[p.e].Profiles
	return facts != nil && slices.ContainsFunc(facts.Items, func(item mdm.ProfileOnFile) bool {
		return item.Identifier == row.Subject && item.UUID == row.Revision
	})
}

func (w *world) ordered(e mdm.EnrollmentID, kind mdm.ActionKind) bool {
	return slices.ContainsFunc(w.h.acts, func(a mdm.Action) bool { return a.EnrollmentID == e && a.Kind == kind })
}

// execute carries a command out, unless it was carried out before.
func (w *world) execute(t *rapid.T, p *handset, o *apple.Order) {
	c := mdm.Contact{CommandID: o.ID, Status: rapid.SampledFrom([]mdm.Status{
		mdm.StatusAcknowledged, mdm.StatusAcknowledged, mdm.StatusAcknowledged, mdm.StatusError, mdm.StatusNotNow,
	}).Draw(t, "status")}
	if p.executed[o.ID] > 0 { // it knows the command, and says once more that it was done
		p.unsent = &mdm.Contact{CommandID: o.ID, Status: mdm.StatusAcknowledged}
		return
	}
	if c.Status == mdm.StatusError {
		c.Errors = []mdm.ErrorItem{{Code: 1, Domain: "TestDomain", Description: "no"}}
	}
	if c.Status == mdm.StatusAcknowledged {
		p.executed[o.ID]++
		c.Report = w.obey(p, o)
	}
	p.unsent = &c
}

func (w *world) obey(p *handset, o *apple.Order) (r mdm.Report) {
	at := w.h.now()
	yes := true
	switch c := o.Command.(type) {
	case apple.InstallProfile:
		for _, row := range w.h.commands {
			if row.ID == o.ID {
				p.profiles[row.Subject] = row.Revision
			}
		}
	case apple.RemoveProfile:
		delete(p.profiles, c.Identifier)
	case apple.DeviceInformation:
		r.Device = &mdm.DeviceFacts{At: at, EASDeviceID: "eas"}
	case apple.SecurityInfo:
		r.Security = &mdm.SecurityFacts{At: at}
	case apple.CertificateList:
		r.Certificates = &mdm.CertificateFacts{At: at}
	case apple.Restrictions:
		r.Restrictions = &mdm.RestrictionFacts{At: at}
	case apple.ProfileList:
		r.Profiles = &mdm.ProfileFacts{At: at}
		for _, identifier := range slices.Sorted(maps.Keys(p.profiles)) {
			r.Profiles.Items = append(r.Profiles.Items, mdm.ProfileOnFile{Identifier: identifier, UUID: p.profiles[identifier], Managed: &yes})
		}
	}
	return r
}

// TestActsProperty plays admins who change their minds, phones that lose, repeat
// and reorder messages, and whatever happens: no personal device is erased, no
// management is removed unasked, no command goes to another enrolment, no act is
// executed twice, and nothing that is there is installed again unasked.
func TestActsProperty(t *testing.T) {
	t.Parallel()
	raw, err := plist.Marshal(map[string]any{"RequestType": "DeviceLock"}, plist.XMLFormat)
	if err != nil {
		t.Fatal(err)
	}
	kinds := append(mdm.ActionKinds(), mdm.ActionWipe, mdm.ActionSelectiveWipe, mdm.ActionResend)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			p := rapid.SampledFrom(w.phones).Draw(rt, "phone")
			w.h.sleep(time.Duration(rapid.SampledFrom([]int{0, 0, 60, 4000, 90000}).Draw(rt, "wait")) * time.Second)
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1:
				w.order(rt, p, rapid.SampledFrom(kinds).Draw(rt, "kind"), raw)
			case 2:
				w.meddle(rt, p)
			case 3: // an old message comes again; nobody hears the answer
				if len(p.said) > 0 {
					w.contact(rt, p, rapid.SampledFrom(p.said).Draw(rt, "replay"), true)
				}
			case 4: // the phone loses its memory of what it has to say
				p.unsent = nil
			default:
				w.talk(rt, p)
			}
		}
		w.count(rt)
	})
}

// order asks for an act; a refusal is as good.
func (w *world) order(t *rapid.T, p *handset, kind mdm.ActionKind, raw []byte) {
	r := OrderRequest{DeviceID: w.h.enrollments[p.e].DeviceID, Kind: kind, Role: auth.Admin}
	switch kind {
	case mdm.ActionRename:
		r.Parameters.Name = "desk"
	case mdm.ActionQuery:
		r.Parameters.Query = rapid.SampledFrom(queries()).Draw(t, "query")
	case mdm.ActionCommand:
		r.Parameters.Raw = raw
	case mdm.ActionRetire:
		r.Force = rapid.IntRange(0, 9).Draw(t, "force") == 0
	}
	r.Confirm = deviceName(w.h.row(r.DeviceID))
	_, _, err := w.h.enroll.Order(t.Context(), r)
	for _, known := range []error{nil, ErrAction, ErrConflict, ErrInvalid} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("order %s: %v", kind, err)
}

// meddle is what an admin does beside ordering.
func (w *world) meddle(t *rapid.T, p *handset) {
	switch rapid.IntRange(0, 2).Draw(t, "meddle") {
	case 0:
		if len(w.h.acts) > 0 {
			_, err := w.h.enroll.Cancel(t.Context(), rapid.SampledFrom(w.h.acts).Draw(t, "act").ID)
			if err != nil && !errors.Is(err, ErrConflict) {
				t.Fatal(err)
			}
		}
	case 1:
		if err := w.h.enroll.SetOwnership(t.Context(), w.h.enrollments[p.e].DeviceID, mdm.Personal); err != nil {
			t.Fatal(err)
		}
	case 2:
		if _, err := w.h.enroll.ExpireActions(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// talk is a connection, or a part of one.
func (w *world) talk(t *rapid.T, p *handset) {
	for range rapid.IntRange(1, 12).Draw(t, "messages") {
		c := mdm.Contact{Status: mdm.StatusIdle}
		if p.unsent != nil {
			c = *p.unsent
		}
		order := w.contact(t, p, c, rapid.IntRange(0, 9).Draw(t, "lost") == 0)
		if c.Status != mdm.StatusIdle && rapid.IntRange(0, 9).Draw(t, "unheard") == 0 {
			continue // our answer did not arrive: the phone says it again
		}
		p.unsent = nil
		if order == nil {
			return
		}
		w.execute(t, p, order)
	}
}

func (w *world) count(t *rapid.T) {
	for _, p := range w.phones {
		done := map[mdm.ActionID]int{}
		for _, row := range w.h.commands {
			if row.EnrollmentID == p.e && row.ActionID != "" {
				done[row.ActionID] += p.executed[row.ID]
			}
		}
		for id, n := range done {
			if n > 1 {
				t.Fatalf("act %s was executed %d times", w.h.acts[w.h.find(id)].Kind, n)
			}
		}
	}
	for _, c := range w.h.commands {
		if c.ActionID == "" && strings.EqualFold(c.RequestType, eraseDevice) {
			t.Fatal("EraseDevice without an act")
		}
	}
}
