package enroll

import (
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// judged is the verdict of a policy without grace that asks for the mail profile alone.
func (h *house) judged(t *testing.T, p *phone) (compliance.Expected, compliance.Verdict) {
	t.Helper()
	expected, report, err := h.enroll.Expected(t.Context(), p.enrollment(t).ID)
	if err != nil || len(expected.Mail) != 1 {
		t.Fatalf("got %+v, %v", expected.Mail, err)
	}
	policy := &compliance.Policy{Name: "strict", Number: 1, Spec: compliance.Spec{Name: "strict", Rules: compliance.Rules{MailProfile: true}}}
	return expected, compliance.Evaluate(policy, expected, report, compliance.Verdict{}, h.now())
}

// TestARenewalShutsNoMailbox: the revision before our own S/MIME renewal counts for
// a day; one that an admin has changed as well does not.
func TestARenewalShutsNoMailbox(t *testing.T) {
	t.Parallel()
	h, ring := smimeHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	h.sleep(compliance.Credit)
	before, v := h.judged(t, p)
	if v.State != compliance.Compliant || len(before.Mail[0].Previous) != 0 {
		t.Fatalf("got %s, %+v", v.State, before.Mail)
	}

	id, at := string(h.alice.ID), h.now()
	ring.renewed = []certs.SMIMERenewal{{At: at, Keys: slices.Clone(ring.keys[id])}}
	ring.add(id, h.alice.Email, certs.SMIMEEncryption)
	after, v := h.judged(t, p)
	if after.Mail[0].UUID == before.Mail[0].UUID {
		t.Fatal("a new key is no new revision")
	}
	if want := []compliance.PreviousRevision{{UUID: before.Mail[0].UUID, Until: at.Add(24 * time.Hour)}}; !slices.Equal(after.Mail[0].Previous, want) {
		t.Errorf("got %+v, want %+v", after.Mail[0].Previous, want)
	}
	if v.State != compliance.Compliant || v.ValidUntil.After(at.Add(24*time.Hour)) {
		t.Errorf("got %s until %s", v.State, v.ValidUntil)
	}

	h.revisions[0].Spec.DisplayName = "Mail, changed by an admin"
	if _, v := h.judged(t, p); v.State != compliance.NotCompliant {
		t.Errorf("a template was edited: got %s", v.State)
	}
	p.connect(t)
	if e, v := h.judged(t, p); v.State != compliance.Compliant || len(e.Mail[0].Previous) != 0 {
		t.Errorf("after the phone has come: got %s, %+v", v.State, e.Mail)
	}
}

// TestLookingMakesNoKey: verdicts of all phones come one after the other, and none
// of them waits for a key in the making. What the next contact will bring is no
// trouble for an administrator; what it cannot bring is.
func TestLookingMakesNoKey(t *testing.T) {
	t.Parallel()
	h, ring := smimeHouse(t)
	plain := h.revisions[0].Spec.Accounts[0].SMIME
	smime := plain
	plain.Sign.Enabled, plain.Sign.Identity, plain.Encrypt.ByDefault, plain.Encrypt.Identity = false, "", false, ""
	h.revisions[0].Spec.Accounts[0].SMIME = plain
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	h.revisions[0].Spec.Accounts[0].SMIME = smime

	e, v := h.judged(t, p)
	if ring.ensure != 0 || e.Mail[0].UUID == "" || v.State != compliance.NotCompliant {
		t.Errorf("got %s for %+v, after keys were asked for %d times", v.State, e.Mail, ring.ensure)
	}
	row, err := h.enroll.Device(t.Context(), p.enrollment(t).DeviceID)
	if err != nil {
		t.Fatal(err)
	}
	want, err := h.enroll.wanted(t.Context(), row.Enrollment, row.Report)
	if err != nil || ring.ensure != 0 || !want.Profiles[0].renders() {
		t.Errorf("a resend: got %+v, %v after %d", want.Profiles, err, ring.ensure)
	}
	h.enroll.SMIME = nil
	if e, _ := h.judged(t, p); e.Mail[0].UUID != "" {
		t.Error("who keeps no keys is said to make them")
	}
	h.enroll.SMIME = ring
	p.connect(t)
	if _, v := h.judged(t, p); v.State != compliance.Compliant || ring.ensure == 0 {
		t.Errorf("after a contact: got %s", v.State)
	}
}

// TestWhatOnlyAwaitsKeysIsNotSent: a look before the delivery leaves nothing behind
// that the delivery would take for a profile, also where no key can be made.
func TestWhatOnlyAwaitsKeysIsNotSent(t *testing.T) {
	t.Parallel()
	h, ring := smimeHouse(t)
	ring.cannotMake[string(h.alice.ID)] = certs.ErrSMIME
	at := Catalog{Templates: 1}
	for _, keysOf := range []keyLookup{h.enroll.knownKeys, h.enroll.smimeKeys} {
		list, err := h.enroll.assigned(t.Context(), at, h.alice, nil, mdm.WithholdNothing, keysOf)
		if err != nil || len(list) != 1 || list[0].uuid != "" || list[0].awaited == "" {
			t.Errorf("got %+v, %v", list, err)
		}
	}
	if got := h.enroll.foreseen([]assignment{{awaited: "AAAA"}}, directory.User{}); got[0].uuid != "" {
		t.Error("a key is foreseen for a user without an address")
	}
}
