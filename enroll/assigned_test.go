package enroll

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/templates"
)

func securityPolicy(name string, length int) templates.SecurityRevision {
	return templates.SecurityRevision{PolicyID: name, Name: name, Number: 1, Spec: templates.SecuritySpec{
		Name: name, Assign: directory.Audience{Everyone: true}, Settings: profiles.SecurityPolicy{RequirePasscode: true, MinimumLength: length},
	}}
}

// TestSecurityPolicyIsDelivered: before the mail, updated in place whichever
// policy it comes from, needed for configured, and no mail profile for compliance.
func TestSecurityPolicyIsDelivered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	h.policies = []templates.SecurityRevision{securityPolicy("staff", 6)}
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	sameTypes(t, p.connect(t), []string{askDevice, askSecurity, installProfile, installProfile, askProfiles, askCertificates, askRestrictions})
	identifier := "sallyport.security." + string(h.alice.ID)
	if len(p.order) != 2 || p.order[0] != identifier {
		t.Errorf("got %v, want the security policy first", p.order)
	}
	if e := p.enrollment(t); e.State != mdm.Configured {
		t.Errorf("got state %s, want configured", e.State)
	}
	if n, _ := h.expected(t, p); n != 1 {
		t.Errorf("compliance expects %d mail profiles, want 1", n)
	}
	payload := p.payloads[identifier][0].(map[string]any)
	if payload["PayloadType"] != "com.apple.mobiledevice.passwordpolicy" || payload["minLength"] != uint64(6) {
		t.Errorf("got %v", payload)
	}

	// Another policy with a higher priority takes its place, and no mail is touched.
	other := securityPolicy("board", 8)
	other.Spec.Priority = 1
	h.policies = append(h.policies, other)
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles})
	if got := p.payloads[identifier][0].(map[string]any); got["minLength"] != uint64(8) || got["PayloadUUID"] != payload["PayloadUUID"] || p.scep != 1 {
		t.Errorf("got %v after %d certificates", got, p.scep)
	}
	sameTypes(t, p.connect(t), nil)
}

func TestSecurityPolicyHoldsConfiguredBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	broken := securityPolicy("staff", 600)
	h.policies = []templates.SecurityRevision{broken}
	p.connect(t)
	if e := p.enrollment(t); e.State != mdm.Enrolled || len(p.held) != 1 {
		t.Errorf("got state %s with %d profiles, want enrolled with the mail only", e.State, len(p.held))
	}
}

// TestLoserIsNotDelivered: of two templates for one mailbox the phone gets one,
// and the log names the other.
func TestLoserIsNotDelivered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var log bytes.Buffer
	h.enroll.Log = slog.New(slog.NewTextHandler(&log, nil))
	better := mailTemplate("%upn%")
	better.Name, better.TemplateID, better.Spec.Priority = "sales-mail", "01993b1e-0000-7000-8000-000000000009", 10
	better.Spec.Assign = directory.Audience{Groups: []string{"sales"}}
	h.revisions = append(h.revisions, better)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	if _, ok := p.held[templates.ProfileIdentifier(better.TemplateID, h.alice.ID)]; len(p.held) != 1 || !ok {
		t.Errorf("the phone holds %d profiles, want the winner's alone", len(p.held))
	}
	if e := p.enrollment(t); e.State != mdm.Configured {
		t.Errorf("got state %s, want configured", e.State)
	}
	settings, err := h.enroll.MailSettings(t.Context(), p.enrollment(t).DeviceID)
	if left := settings.LeftOut; err != nil || len(left) != 1 || left[0].Template != "mail" || left[0].Winner != "sales-mail" || left[0].App != "" ||
		!strings.Contains(left[0].Reason, "10 against 0") || left[0].Remedy == "" {
		t.Errorf("the phone's page names %+v, %v; want the loser with its reason", left, err)
	}
	if !strings.Contains(log.String(), "template=mail winner=sales-mail") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("got log %s", log.String())
	}
	bob := h.newPhone(t, h.bob.UPN, udidB, 1)
	bob.join(t)
	bob.connect(t)
	if _, ok := bob.held[templates.ProfileIdentifier(h.revisions[0].TemplateID, h.bob.ID)]; !ok {
		t.Error("who is not in the group does not get the other template")
	}
	if settings, err = h.enroll.MailSettings(t.Context(), bob.enrollment(t).DeviceID); err != nil || len(settings.LeftOut) != 0 {
		t.Errorf("who is given all there is: %+v, %v", settings.LeftOut, err)
	}
}

// TestDeviceFactsAreAwaited: such a template is no fault while the phone has
// not reported, and follows what it reports later.
func TestDeviceFactsAreAwaited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var log bytes.Buffer
	h.enroll.Log = slog.New(slog.NewTextHandler(&log, nil))
	h.revisions[0].Spec.Accounts[0].Name = "Mail on %osversion%"
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	if n, _ := h.expected(t, p); n != 1 {
		t.Errorf("compliance expects %d mail profiles before the report, want 1", n)
	}
	sameTypes(t, p.connect(t), everything)
	if e := p.enrollment(t); e.State != mdm.Configured {
		t.Errorf("got state %s, want configured", e.State)
	}
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("got log %s", log.String())
	}
	account := p.payloads[templates.ProfileIdentifier(h.revisions[0].TemplateID, h.alice.ID)][1].(map[string]any)
	if account["PayloadDisplayName"] != "Mail on 18.1" {
		t.Errorf("got %v", account)
	}
}

// TestSecretsAreDelivered: opened for templates that name some and for nobody
// else; a new value is sent at the next contact.
func TestSecretsAreDelivered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	if h.opened != 0 {
		t.Errorf("secrets were opened %d times for a template that names none", h.opened)
	}
	h.revisions[0].Spec.Accounts[0].Password = &profiles.PasswordSource{Secret: "mail-password"}
	h.revisions[0].Number = 2
	sameTypes(t, p.connect(t), nil) // there is none yet: nothing can be installed
	h.secrets = map[directory.UserID][]templates.Secret{h.alice.ID: {{
		Name: "mail-password", Kind: templates.SecretPassword, UserID: h.alice.ID, Revision: "first", Value: secret.New("canary"),
	}}}
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles})
	account := func() map[string]any {
		return p.payloads[templates.ProfileIdentifier(h.revisions[0].TemplateID, h.alice.ID)][1].(map[string]any)
	}
	if account()["Password"] != "canary" {
		t.Errorf("got %v", account())
	}
	h.secrets[h.alice.ID][0].Revision, h.secrets[h.alice.ID][0].Value = "second", secret.New("next")
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles})
	if account()["Password"] != "next" {
		t.Errorf("got %v", account())
	}
	sameTypes(t, p.connect(t), nil)
}

// TestSharedMailboxIsNotInvited: refused when it is named, left out and told of
// in a group; one that is marked later gets nothing more.
func TestSharedMailboxIsNotInvited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	shared := h.alice
	shared.SharedMailbox = true
	h.users[h.alice.ID] = shared
	before := len(h.invitations)

	_, err := h.enroll.Invite(context.Background(), InviteRequest{UPN: shared.UPN})
	if list := refusal.All(err); !errors.Is(err, ErrInvalid) || len(list) != 1 || list[0].Field != "user" || !strings.Contains(list[0].Reason, "shared mailbox") || list[0].Remedy == "" {
		t.Errorf("by name: got %v", err)
	}
	if _, err = h.enroll.Invite(context.Background(), InviteRequest{Group: "sales"}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "shared mailboxes") {
		t.Errorf("a group of nobody else: got %v", err)
	}
	if len(h.invitations) != before {
		t.Error("an invitation was made")
	}
	invited, err := h.enroll.InviteAll(context.Background(), InviteRequest{All: true})
	if err != nil || len(invited.Issued) != 1 || invited.Issued[0].User.ID != h.bob.ID || len(invited.Skipped) != 1 {
		t.Fatalf("everyone: got %+v, %v", invited, err)
	}
	if s := invited.Skipped[0]; cmp.Diff(s.User, shared) != "" || !strings.Contains(s.Reason.Reason, "shared mailbox") {
		t.Errorf("got %+v", s)
	}

	sameTypes(t, p.connect(t), questions)
	if n, _ := h.expected(t, p); n != 0 || len(p.held) != 0 {
		t.Errorf("compliance expects %d profiles, the phone holds %d", n, len(p.held))
	}
}
