package templates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/certs"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles/mobileconfig"
)

const onRecord = `
name: mail
assign: everyone
accounts:
  - name: First
    host: mail.example.test
    identity: scep
    smime:
      sign: {enabled: true, identity: smime}
      encrypt: {by_default: true, identity: smime}
  - name: Second
    host: other.example.test
    smime:
      encrypt: {identity: smime}
`

func smimeKey(id string, usage certs.SMIMEUsage, current bool) certs.SMIMEKey {
	return certs.SMIMEKey{ID: id, UserID: userID, Usage: usage, Current: current, NotAfter: noon.AddDate(1, 0, 0), Mails: []string{alice().Email}}
}

// aliceKeys are a key to sign with, one to decrypt with, and an earlier one of each.
func aliceKeys() []certs.SMIMEKey {
	return []certs.SMIMEKey{
		smimeKey("sign-2", certs.SMIMESigning, true), smimeKey("sign-1", certs.SMIMESigning, false),
		smimeKey("encrypt-2", certs.SMIMEEncryption, true), smimeKey("encrypt-1", certs.SMIMEEncryption, false),
	}
}

func renderSMIME(t testing.TB, keys []certs.SMIMEKey) Rendered {
	t.Helper()
	o := options()
	o.SMIME = keys
	r, err := Render(revision(t, onRecord), alice(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// awaited are the payloads whose keys come with the delivery, by their UUID.
func awaited(p mobileconfig.Profile) map[string]string {
	list := map[string]string{}
	for _, payload := range p.Payloads {
		if a, ok := payload.(mobileconfig.AwaitedPKCS12); ok {
			list[a.UUID] = a.KeyID
		}
	}
	return list
}

func slotUUID(slot string) string { return mobileconfig.UUID(templateID, slot, userID) }

func TestRenderSMIME(t *testing.T) {
	r := renderSMIME(t, aliceKeys())
	if want := []string{"sign-2", "encrypt-2", "encrypt-1"}; !slices.Equal(r.KeyIDs, want) {
		t.Errorf("got keys %v, want %v: no history of signing", r.KeyIDs, want)
	}
	got := awaited(r.Profile)
	for slot, id := range map[string]string{"smime.sign": "sign-2", "smime.encrypt": "encrypt-2", "smime.history.encrypt-1": "encrypt-1"} {
		if got[slotUUID(slot)] != id {
			t.Errorf("slot %s: got key %q, want %q", slot, got[slotUUID(slot)], id)
		}
	}
	var refs []string
	for _, payload := range r.Profile.Payloads {
		if e, ok := payload.(mobileconfig.EAS); ok {
			refs = append(refs, e.SMIME.SigningCertificateUUID, e.SMIME.EncryptionCertificateUUID)
		}
	}
	if want := []string{slotUUID("smime.sign"), slotUUID("smime.encrypt"), "", slotUUID("smime.encrypt")}; !slices.Equal(refs, want) {
		t.Errorf("got references %v, want %v", refs, want)
	}
	if !r.NeedsChallenge || r.AwaitsKeys || len(got) != 3 || len(r.Warnings) != 0 {
		t.Errorf("got %d identities, challenge %v, awaits %v, warnings %v", len(got), r.NeedsChallenge, r.AwaitsKeys, r.Warnings)
	}
	if usages := revision(t, onRecord).Spec.SMIMEUsages(); !slices.Equal(usages, []certs.SMIMEUsage{certs.SMIMEEncryption, certs.SMIMESigning}) {
		t.Errorf("got usages %v", usages)
	}
	if usages := revision(t, everySecret).Spec.SMIMEUsages(); len(usages) != 0 {
		t.Errorf("a template with files asks for %v", usages)
	}
}

// TestRenewedKeyStaysInItsSlot: the phone updates the payload in place, and gets
// the key before it as a further one.
func TestRenewedKeyStaysInItsSlot(t *testing.T) {
	before := renderSMIME(t, []certs.SMIMEKey{smimeKey("sign-1", certs.SMIMESigning, true), smimeKey("encrypt-1", certs.SMIMEEncryption, true)})
	after := renderSMIME(t, []certs.SMIMEKey{
		smimeKey("sign-1", certs.SMIMESigning, true), smimeKey("encrypt-2", certs.SMIMEEncryption, true), smimeKey("encrypt-1", certs.SMIMEEncryption, false),
	})
	if before.Profile.TopUUID() == after.Profile.TopUUID() {
		t.Error("the renewed key does not make another revision")
	}
	old := awaited(before.Profile)
	now := awaited(after.Profile)
	for uuid := range old {
		if _, ok := now[uuid]; !ok {
			t.Errorf("payload %s is gone: the phone would make the account anew", uuid)
		}
	}
	if now[slotUUID("smime.encrypt")] != "encrypt-2" || now[slotUUID("smime.history.encrypt-1")] != "encrypt-1" {
		t.Errorf("got %v", now)
	}
}

// TestOneCertificateForBoth: in one payload, as long as it is one.
func TestOneCertificateForBoth(t *testing.T) {
	keys := aliceKeys()
	keys[0].SHA256, keys[2].SHA256, keys[3].SHA256 = "both", "both", "old"
	r := renderSMIME(t, keys)
	if want := []string{"sign-2", "encrypt-1"}; !slices.Equal(r.KeyIDs, want) {
		t.Errorf("got keys %v, want %v", r.KeyIDs, want)
	}
	first := r.Profile.Payloads[len(r.Profile.Payloads)-2].(mobileconfig.EAS)
	if first.SMIME.SigningCertificateUUID != slotUUID("smime.sign") || first.SMIME.EncryptionCertificateUUID != slotUUID("smime.sign") {
		t.Errorf("got %+v", first.SMIME)
	}
	keys[2].SHA256, keys[3].SHA256 = "new", "both" // renewed for encryption only
	r = renderSMIME(t, keys)
	if want := []string{"sign-2", "encrypt-2"}; !slices.Equal(r.KeyIDs, want) {
		t.Errorf("got keys %v, want %v: the earlier one is there to sign with", r.KeyIDs, want)
	}
}

// TestHistoryHasOneOrder: whoever lists the keys, the revision is the same.
func TestHistoryHasOneOrder(t *testing.T) {
	keys := append(aliceKeys(), smimeKey("encrypt-0", certs.SMIMEEncryption, false))
	keys[4].NotBefore = noon.AddDate(-9, 0, 0)
	top := renderSMIME(t, keys).Profile.TopUUID()
	slices.Reverse(keys)
	if renderSMIME(t, keys).Profile.TopUUID() != top {
		t.Error("another order of the list is another revision")
	}
}

func TestWithKeys(t *testing.T) {
	r := renderSMIME(t, aliceKeys())
	top := r.Profile.TopUUID()
	file := holder{mails: []string{alice().Email}}.identity(t, "x").Data
	var asked []string
	sent, err := r.WithKeys(func(id string) ([]byte, secret.Value, error) {
		asked = append(asked, id)
		return file, secret.New(filePassword), nil
	})
	if err != nil || !slices.Equal(asked, r.KeyIDs) {
		t.Fatalf("asked for %v, %v", asked, err)
	}
	if sent.Profile.TopUUID() != top || len(awaited(sent.Profile)) != 0 || len(awaited(r.Profile)) != 3 {
		t.Error("the delivery is another revision, still waits, or changed what it was made of")
	}
	if _, err := sent.WithChallenge(secret.New("one-time")).Encode(); !errors.Is(err, mobileconfig.ErrSecret) {
		t.Errorf("in the clear: got %v, want ErrSecret", err)
	}
	var shown bytes.Buffer
	fmt.Fprintf(&shown, "%v %+v %#v", sent, sent, sent)
	if strings.Contains(shown.String(), filePassword) {
		t.Error("the delivery shows a password when it is printed")
	}
	broken := errors.New("sealed by another key")
	if _, err := r.WithKeys(func(string) ([]byte, secret.Value, error) { return nil, secret.Value{}, broken }); !errors.Is(err, broken) {
		t.Errorf("a key that does not open: got %v", err)
	}
}

// TestNoKeysYet: it can be shown, and neither be sent nor filled.
func TestNoKeysYet(t *testing.T) {
	r := renderSMIME(t, []certs.SMIMEKey{smimeKey("encrypt-1", certs.SMIMEEncryption, false)})
	if !r.AwaitsKeys || !slices.Equal(r.KeyIDs, []string{"encrypt-1"}) {
		t.Errorf("awaits %v, keys %v", r.AwaitsKeys, r.KeyIDs)
	}
	p, err := Show(r, PlatformApple)
	if err != nil || !p.Redacted || !strings.Contains(p.Tree, "Will be issued at first delivery") {
		t.Errorf("got %v\n%s", err, p.Tree)
	}
	_, err = r.WithKeys(func(string) ([]byte, secret.Value, error) { return nil, secret.New("x"), nil })
	if list := refusal.All(err); !errors.Is(err, ErrRender) || len(list) != 1 || list[0].Remedy == "" {
		t.Errorf("got %v, want ErrRender", err)
	}
	for _, platform := range []Platform{PlatformGmail, PlatformOutlook, PlatformOutlookIOS} {
		if _, err := Show(r, platform); err != nil {
			t.Errorf("%s: %v", platform, err)
		}
	}
}

// keyRing lists keys and counts how often.
type keyRing struct {
	keys  []certs.SMIMEKey
	asked int
}

func (k *keyRing) Known(_ context.Context, userID, _ string, _ []certs.SMIMEUsage) ([]certs.SMIMEKey, error) {
	k.asked++
	return slices.DeleteFunc(slices.Clone(k.keys), func(key certs.SMIMEKey) bool { return key.UserID != userID }), nil
}

// TestViewerLooksAtKeys: only where a template asks, without making any; what it
// shows is the revision that will be sent.
func TestViewerLooksAtKeys(t *testing.T) {
	const asks = ", smime: {sign: {enabled: true, identity: smime}, encrypt: {identity: smime}}"
	v, _ := newViewer(t, template("mail", "everyone", asks), template("other", "{users: [alice@example.test]}", ", user_name: x"))
	ring := &keyRing{}
	v.SMIME = ring
	look := func(name string) Preview {
		t.Helper()
		p, err := v.Preview(t.Context(), PreviewRequest{Name: name, UPN: "alice@example.test"})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if look("other"); ring.asked != 0 {
		t.Errorf("asked %d times for a template that needs none", ring.asked)
	}
	if p := look("mail"); strings.Count(p.Tree, issuedLater) != 2 {
		t.Errorf("got\n%s", p.Tree)
	}
	for i, key := range aliceKeys() {
		key.UserID, key.NotBefore = "alice", noon.AddDate(0, -i, 0)
		ring.keys = append(ring.keys, key)
	}
	p := look("mail")
	if strings.Contains(p.Tree, issuedLater) || !strings.Contains(p.Tree, "Earlier S/MIME certificate") || !p.Redacted {
		t.Errorf("got\n%s", p.Tree)
	}
	spec, err := v.Templates.Get(t.Context(), "mail")
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.SMIME = ring.keys
	rendered, err := Render(spec, person("alice", "sales"), o)
	if err != nil || !strings.Contains(p.Tree, rendered.Profile.TopUUID()) {
		t.Errorf("the preview is not what is sent: %v", err)
	}
	report, err := v.Check(t.Context(), CheckRequest{Name: "mail"})
	if err != nil || report.Rendered != 3 || report.Refused != 0 {
		t.Errorf("got %+v, %v: who has no certificate yet is served", report, err)
	}
	v.SMIME = nil
	if p := look("mail"); strings.Count(p.Tree, issuedLater) != 2 {
		t.Errorf("without a source: got\n%s", p.Tree)
	}
}
