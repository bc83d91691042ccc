package enroll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

// keyRing is an SMIMESource in memory. Its files are DER of the shortest kind:
// nobody here opens them.
type keyRing struct {
	mu     sync.Mutex
	keys   map[string][]certs.SMIMEKey // by user
	ensure int                         // calls
	files  []string                    // that were made: "key ID, modern" or "key ID, legacy"
	words  map[string]bool             // passwords

	renewed                []certs.SMIMERenewal
	cannotMake, cannotOpen map[string]error // by user
}

func newKeyRing() *keyRing {
	return &keyRing{keys: map[string][]certs.SMIMEKey{}, words: map[string]bool{}, cannotMake: map[string]error{}, cannotOpen: map[string]error{}}
}

func (k *keyRing) Ensure(_ context.Context, userID, upn, mail string, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ensure++
	if err := k.cannotMake[userID]; err != nil {
		return nil, err
	}
	for _, usage := range usages {
		if !slices.ContainsFunc(k.keys[userID], func(key certs.SMIMEKey) bool { return key.Usage == usage && key.Current }) {
			k.add(userID, mail, usage)
		}
	}
	return slices.Clone(k.keys[userID]), nil
}

func (k *keyRing) Known(_ context.Context, userID, _ string, _ []certs.SMIMEUsage) ([]certs.SMIMEKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys[userID]), nil
}

func (k *keyRing) Renewed(context.Context, string, string, []certs.SMIMEUsage, time.Duration) ([]certs.SMIMERenewal, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.renewed, nil
}

// add makes a key the current one of its usage.
func (k *keyRing) add(userID, mail string, usage certs.SMIMEUsage) {
	list := k.keys[userID]
	for i := range list {
		list[i].Current = list[i].Current && list[i].Usage != usage
	}
	k.keys[userID] = append(list, certs.SMIMEKey{
		ID: fmt.Sprintf("%s-%s-%d", userID, usage, len(list)), UserID: userID, Usage: usage, Current: true,
		NotBefore: noon.Add(time.Duration(len(list)) * time.Hour), Mails: []string{mail},
	})
}

func (k *keyRing) PKCS12(_ context.Context, userID, keyID string, password secret.Value, legacy bool) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.cannotOpen[userID]; err != nil {
		return nil, err
	}
	if !strings.HasPrefix(keyID, userID) || k.words[password.Reveal()] || len(password.Reveal()) < 24 {
		return nil, errors.New("another user's key, or a weak password")
	}
	k.words[password.Reveal()] = true
	k.files = append(k.files, keyID+map[bool]string{true: ", legacy", false: ", modern"}[legacy])
	return []byte{0x30, 0x03, 0x02, 0x01, byte(len(k.files))}, nil
}

// smimeHouse has a template that asks for both certificates.
func smimeHouse(t testing.TB) (*house, *keyRing) {
	t.Helper()
	h, ring := newHouse(t), newKeyRing()
	h.enroll.InquiryMaxAge = time.Hour
	h.enroll.SMIME = ring
	h.revisions[0].Spec.Accounts[0].SMIME = profiles.SMIME{
		Sign:    profiles.SMIMESign{Enabled: true, Identity: profiles.IdentitySMIME},
		Encrypt: profiles.SMIMEEncrypt{ByDefault: true, Identity: profiles.IdentitySMIME},
	}
	return h, ring
}

// files are the PKCS#12 payloads of a phone's mail profile, by payload UUID.
func (p *phone) files(u directory.User) map[string]map[string]any {
	list := map[string]map[string]any{}
	for _, payload := range p.payloads[templates.ProfileIdentifier(p.h.revisions[0].TemplateID, u.ID)] {
		if dict := payload.(map[string]any); dict["PayloadType"] == "com.apple.security.pkcs12" {
			list[dict["PayloadUUID"].(string)] = dict
		}
	}
	return list
}

func (h *house) smimeSlot(u directory.User, slot string) string {
	return mobileconfig.UUID(h.revisions[0].TemplateID, slot, string(u.ID))
}

// TestSMIMEIsDelivered: the user's keys come with the mail profile, each under a
// password of its own; a renewed one takes its place, and the old one stays.
func TestSMIMEIsDelivered(t *testing.T) {
	t.Parallel()
	h, ring := smimeHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	if _, code := h.invite(t, h.bob.UPN, mdm.Corporate); ring.ensure != 0 {
		t.Fatal("an invitation makes keys")
	} else if w, err := h.enroll.Open(t.Context(), code); err != nil || len(w.Accounts) != 1 || ring.ensure != 0 {
		t.Errorf("its page: got %+v, %v, after %d keys were made", w, err, ring.ensure)
	}
	p.join(t)
	p.connect(t)
	id := string(h.alice.ID)
	if diff := cmp.Diff([]string{id + "-encryption-0, modern", id + "-signing-1, modern"}, sorted(ring.files)); diff != "" {
		t.Fatal(diff)
	}
	got := p.files(h.alice)
	sign, encrypt := got[h.smimeSlot(h.alice, "smime.sign")], got[h.smimeSlot(h.alice, "smime.encrypt")]
	if len(got) != 2 || sign == nil || encrypt == nil || sign["Password"] == encrypt["Password"] || !ring.words[sign["Password"].(string)] {
		t.Fatalf("got %v", got)
	}
	if e := p.enrollment(t); e.State != mdm.Configured || p.scep != 1 {
		t.Errorf("got state %s after %d certificates by SCEP", e.State, p.scep)
	}
	sameTypes(t, p.connect(t), nil)
	if len(ring.files) != 2 {
		t.Errorf("keys were opened for a poll: %v", ring.files)
	}

	seen, err := h.enroll.MailSettings(t.Context(), p.enrollment(t).DeviceID)
	if err != nil || len(seen.Profiles) != 1 || seen.Profiles[0].State != MailInstalled {
		t.Errorf("got %+v, %v", seen, err)
	}

	ring.add(id, h.alice.Email, certs.SMIMEEncryption)
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles})
	got = p.files(h.alice)
	if len(got) != 3 || got[h.smimeSlot(h.alice, "smime.encrypt")] == nil || got[h.smimeSlot(h.alice, "smime.history."+id+"-encryption-0")] == nil {
		t.Errorf("after the renewal: got %v", got)
	}
	sameTypes(t, p.connect(t), nil)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// TestSMIMEIsAskedForWhereItIsNeeded: an ordinary poll asks for no key, and with
// such a template a known rendering is used again.
func TestSMIMEIsAskedForWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ring := newKeyRing()
	h.enroll.SMIME = ring
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	p.connect(t)
	if ring.ensure != 0 {
		t.Errorf("asked %d times for users without such a template", ring.ensure)
	}

	h, ring = smimeHouse(t)
	list := func() []assignment {
		t.Helper()
		got, err := h.enroll.assigned(t.Context(), Catalog{Templates: 1}, h.alice, nil, mdm.WithholdNothing, h.enroll.smimeKeys)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := list()
	if again := list(); &again[0] != &first[0] || ring.ensure != 2 {
		t.Errorf("rendered twice, or asked %d times", ring.ensure)
	}
	ring.cannotMake[string(h.alice.ID)] = errors.New("no connection")
	if again := list(); &again[0] != &first[0] {
		t.Error("a profile on record is left out while keys cannot be looked at")
	}
	delete(ring.cannotMake, string(h.alice.ID))
	ring.add(string(h.alice.ID), h.alice.Email, certs.SMIMESigning)
	if newer := list(); newer[0].uuid == first[0].uuid {
		t.Error("a new key is not seen")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	ring.cannotMake[string(h.bob.ID)] = context.Canceled
	if _, err := h.enroll.assigned(stopped, Catalog{Templates: 1}, h.bob, nil, mdm.WithholdNothing, h.enroll.smimeKeys); err == nil {
		t.Error("a request that was cut off tells of a profile that cannot be made")
	}
}

// TestSMIMEBlocksNobody: whose keys cannot be made, or opened, does not get this
// one profile; all else is delivered, and the log says why without a mail address.
func TestSMIMEBlocksNobody(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*house, *keyRing){
		"no source":        func(h *house, _ *keyRing) { h.enroll.SMIME = nil },
		"cannot be made":   func(h *house, k *keyRing) { k.cannotMake[string(h.alice.ID)] = errors.New("issuing refused") },
		"cannot be opened": func(h *house, k *keyRing) { k.cannotOpen[string(h.alice.ID)] = errors.New("sealed by another key") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, ring := smimeHouse(t)
			var log bytes.Buffer
			h.enroll.Log = slog.New(slog.NewTextHandler(&log, nil))
			h.policies = []templates.SecurityRevision{securityPolicy("staff", 6)}
			plain := mailTemplate("%email%")
			plain.Name, plain.TemplateID, plain.Spec.Accounts[0].Host = "plain", "01993b1e-0000-7000-8000-000000000009", "other.example.test"
			h.revisions = append(h.revisions, plain)
			breakIt(h, ring)
			p := h.newPhone(t, h.alice.UPN, udidA, 0)
			p.join(t)
			p.connect(t)
			want := []string{templates.ProfileIdentifier(plain.TemplateID, h.alice.ID), templates.SecurityIdentifier(h.alice.ID)}
			if diff := cmp.Diff(sorted(want), sorted(p.order)); diff != "" {
				t.Error(diff)
			}
			if e := p.enrollment(t); e.State != mdm.Enrolled {
				t.Errorf("got state %s, want enrolled: a profile is missing", e.State)
			}
			if !strings.Contains(log.String(), "ERROR") || !strings.Contains(log.String(), string(h.alice.ID)) || strings.Contains(log.String(), h.alice.Email) {
				t.Errorf("got log %s", log.String())
			}
			settings, err := h.enroll.MailSettings(t.Context(), p.enrollment(t).DeviceID)
			if err != nil || len(settings.Profiles) != 2 {
				t.Fatalf("got %+v, %v", settings, err)
			}
			if name == "cannot be opened" {
				return
			}
			if got := settings.Profiles[0]; got.State != MailUnmade || len(got.Faults) != 1 || got.Faults[0].Remedy == "" {
				t.Errorf("got %+v, want it said that the certificate cannot be made", got)
			}
			bob := h.newPhone(t, h.bob.UPN, udidB, 1)
			bob.join(t)
			bob.connect(t)
			if name == "cannot be made" && len(bob.files(h.bob)) != 2 {
				t.Error("another user's keys are not delivered")
			}
		})
	}
}

// TestOldPhonesGetOldCiphers: by what they have reported, and only then.
func TestOldPhonesGetOldCiphers(t *testing.T) {
	t.Parallel()
	for version, legacy := range map[string]bool{"14.8.1": true, "12.5": true, "9": true, "15.0": false, "26.1": false, "": false, "beta": false, "0": false, "-1": false} {
		if got := before15(&mdm.DeviceFacts{OSVersion: version}); got != legacy {
			t.Errorf("iOS %q: got legacy %v", version, got)
		}
	}
	if before15(nil) {
		t.Error("a phone that has not reported gets old ciphers")
	}
	h, ring := smimeHouse(t)
	list, err := h.enroll.assigned(t.Context(), Catalog{}, h.alice, nil, mdm.WithholdNothing, h.enroll.smimeKeys)
	if err != nil {
		t.Fatal(err)
	}
	w := &job{have: Have{User: h.alice, Report: mdm.Report{Device: &mdm.DeviceFacts{OSVersion: "14.4"}}}}
	if _, err := h.enroll.withKeys(t.Context(), w, list[0].rendered); err != nil || len(ring.files) != 2 || !strings.HasSuffix(ring.files[0], ", legacy") {
		t.Errorf("got %v, %v", ring.files, err)
	}
}
