package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/templates"
)

// configured is a phone of alice's with which everything is in order. It is asked
// for facts that are older than a day.
func (h *house) configured(t *testing.T) *phone {
	t.Helper()
	h.enroll.InquiryMaxAge = 24 * time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	sameTypes(t, p.connect(t), everything)
	return p
}

// due notes that an identity of the phone is to be renewed now.
func (h *house) renew(t *testing.T, p *phone, rule certs.RuleName, profile string) {
	t.Helper()
	r := mdm.Renewal{Rule: string(rule), Profile: profile, Certificate: "old", DueAt: h.now(), Reason: mdm.RenewalExpiry}
	if err := h.SaveRenewals(context.Background(), []IdentityRenewal{{p.enrollmentID(), r}}, audit.Entry{}); err != nil {
		t.Fatal(err)
	}
}

func (h *house) mailProfile() string {
	return templates.ProfileIdentifier(h.revisions[0].TemplateID, h.alice.ID)
}

func (h *house) certificate(hash string) certs.Certificate {
	defer h.lock()()
	return h.certs[hash]
}

// refusal is the newest one in the trail.
func (h *house) refusal() string {
	defer h.lock()()
	for _, e := range slices.Backward(h.audit) {
		if e.Outcome == audit.Refused {
			return e.Detail["reason"]
		}
	}
	return ""
}

func payloadUUIDs(p *phone, profile string) []string {
	var list []string
	for _, one := range p.payloads[profile] {
		list = append(list, one.(map[string]any)["PayloadUUID"].(string))
	}
	return list
}

func TestRenewMailIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.configured(t)
	id := h.mailProfile()
	old, top, parts, asked := p.mail[id], p.held[id]["PayloadUUID"], payloadUUIDs(p, id), h.retired
	h.sleep(time.Hour)
	sameTypes(t, p.connect(t), nil)
	h.renew(t, p, certs.RuleMailIdentity, id)
	sameTypes(t, p.connect(t), []string{installProfile, askCertificates})
	if p.scep != 2 || p.mail[id] == old || p.held[id]["PayloadUUID"] != top || !slices.Equal(payloadUUIDs(p, id), parts) {
		t.Errorf("asked for %d certificates, %v", p.scep, p.held[id])
	}
	e := p.enrollment(t)
	if retired := h.certificate(old); len(e.Renewals) != 0 || retired.Reason != certs.ReasonSuperseded || retired.RevokedAt.IsZero() || !h.certificate(p.mail[id]).RevokedAt.IsZero() {
		t.Errorf("left %v, old identity %+v", e.Renewals, retired)
	}
	if h.retired != asked+1 || e.State != mdm.Configured {
		t.Errorf("retired %d times, %s", h.retired-asked, e.State)
	}
	h.sleep(25 * time.Hour)
	sameTypes(t, p.connect(t), questions)
	if h.retired != asked+1 {
		t.Error("asked to retire where nothing was new")
	}
}

// TestLostCertificate: the phone got nothing of what was issued, so the old
// identity stays good, and is renewed once more.
func TestLostCertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.configured(t)
	id := h.mailProfile()
	old := p.mail[id]
	p.loses = true
	h.sleep(time.Hour)
	h.renew(t, p, certs.RuleMailIdentity, id)
	p.connect(t)
	list, err := h.ExpiringIdentities(t.Context(), h.clock.AddDate(9, 0, 0), nil, 10)
	if err != nil || !slices.ContainsFunc(list, func(i Identity) bool { return i.SHA256 == old }) || !h.certificate(old).RevokedAt.IsZero() {
		t.Errorf("got %d, %v, %+v, %+v", len(list), err, h.certificate(old).RevokedAt, p.enrollment(t).Renewals)
	}
	p.loses = false
	h.sleep(time.Hour)
	h.renew(t, p, certs.RuleMailIdentity, id)
	sameTypes(t, p.connect(t), []string{installProfile, askCertificates})
	valid := 0
	for _, c := range h.certs {
		if c.Rule == certs.RuleMailIdentity && c.RevokedAt.IsZero() {
			valid++
		}
	}
	if valid != 1 || !h.certificate(p.mail[id]).RevokedAt.IsZero() {
		t.Errorf("%d identities are valid", valid)
	}
}

// TestNothingIssued: a phone that says yes and asks for no certificate is asked
// again after pauses, not at once.
func TestNothingIssued(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.configured(t)
	p.refusesSCEP = true
	h.renew(t, p, certs.RuleMDMIdentity, "")
	delete(h.wakes, p.enrollmentID())
	sameTypes(t, p.connect(t), []string{installProfile})
	sameTypes(t, p.connect(t), nil)
	if wait := h.due(p).Sub(h.clock); wait <= 0 || wait > time.Minute {
		t.Errorf("woken in %v, want within a minute", wait)
	}
	h.sleep(time.Minute)
	sameTypes(t, p.connect(t), []string{installProfile})
	h.sleep(time.Minute)
	sameTypes(t, p.connect(t), nil)
	p.refusesSCEP = false
	h.sleep(time.Minute)
	sameTypes(t, p.connect(t), []string{installProfile})
	if e := p.enrollment(t); len(e.Renewals) != 0 || e.CertificateHash != p.hash {
		t.Errorf("got %+v", e)
	}
}

// TestRenewManagement: what Apple freezes stays what the enrolment began with,
// whatever the server would give a new phone; all roots come along, none in
// another's place.
func TestRenewManagement(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.configured(t)
	first, own := *p, h.enroll.enrollmentIdentifier()
	next := newAuthority(t)
	h.enroll.Anchors = func() []*x509.Certificate { return []*x509.Certificate{next.root, h.root} }
	h.enroll.Topic = func() (string, bool) { return "com.apple.mgmt.External.another", false }
	h.renew(t, p, certs.RuleMDMIdentity, "")
	sameTypes(t, p.connect(t), []string{installProfile})

	var roots, slots []string
	for _, one := range p.payloads[own] {
		payload := one.(map[string]any)
		switch payload["PayloadType"] {
		case "com.apple.security.root":
			roots, slots = append(roots, string(payload["PayloadContent"].([]byte))), append(slots, payload["PayloadIdentifier"].(string))
		case "com.apple.mdm":
			if payload["Topic"] != topic || payload["AccessRights"] != uint64(7999) || payload["ServerURL"] != "https://mdm.example.test/mdm" {
				t.Errorf("got %v", payload)
			}
		}
	}
	if len(roots) != 2 || roots[1] != string(h.root.Raw) || slots[1] != own+".root" || len(slots[0]) != len(own+".root.")+64 {
		t.Errorf("roots %v", slots)
	}
	e := p.enrollment(t)
	if p.hash == first.hash || e.CertificateHash != p.hash || e.AccessRights != 7999 || e.Topic != topic || len(e.Renewals) != 0 || e.State != mdm.Configured {
		t.Errorf("got %+v", e)
	}
	if old := h.certificate(first.hash); old.Reason != certs.ReasonSuperseded {
		t.Errorf("the old identity: %+v", old)
	}
	for what, say := range map[string]func() error{
		"poll": func() error {
			_, err := first.send(t, map[string]any{"Status": "Idle", "UDID": first.udid})
			return err
		},
		"Authenticate": func() error { return first.authenticate(t) },
		"TokenUpdate":  func() error { return first.tokenUpdate(t) },
		"CheckOut":     func() error { return first.checkOut(t) },
	} {
		state := h.state()
		if err := say(); !apple.Refused(err) || errors.Is(err, apple.ErrRetired) || h.refusal() == "" {
			t.Errorf("%s by the old identity: got %v", what, err)
		}
		same(t, h.state(), state)
	}
	sameTypes(t, p.connect(t), nil)
	h.revisions[0].Number, h.revisions[0].Spec.Accounts[0].Host = 2, "mail2.example.test"
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles}) // encrypted to the new one
}

// TestPersonalFromNowOn: the right to erase goes with the enrolment profile that is sent next.
func TestPersonalFromNowOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.configured(t)
	device := p.enrollment(t).DeviceID
	for range 2 { // the second time changes nothing
		if err := h.enroll.SetOwnership(t.Context(), device, mdm.Personal); err != nil {
			t.Fatal(err)
		}
	}
	if e := p.enrollment(t); e.MayErase() || len(e.Renewals) != 1 || e.Renewals[0].Reason != mdm.RenewalRights || h.due(p).IsZero() {
		t.Errorf("got %+v", e)
	}
	sameTypes(t, p.connect(t), []string{installProfile})
	if e := p.enrollment(t); e.AccessRights != 7991 || len(e.Renewals) != 0 {
		t.Errorf("got %+v", e)
	}
	if err := h.enroll.SetOwnership(t.Context(), device, mdm.Personal); err != nil || len(p.enrollment(t).Renewals) != 0 {
		t.Errorf("again: %v, %+v", err, p.enrollment(t).Renewals)
	}
}
