package enroll

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

// applied is the store of templates as a preview reads it.
type applied struct {
	templates.Store
	m *memory
}

func (a applied) CurrentRevisions(ctx context.Context) ([]templates.Revision, error) {
	return a.m.CurrentRevisions(ctx)
}

func (a applied) CurrentRevision(ctx context.Context, name string) (templates.Revision, error) {
	list, err := a.m.CurrentRevisions(ctx)
	for _, r := range list {
		if r.Name == name {
			return r, err
		}
	}
	return templates.Revision{}, templates.ErrNotFound
}

// TestPreviewIsWhatIsSent: what a phone verifies and decrypts is the preview,
// byte for byte, but for the one-time challenge; also before there is a phone.
func TestPreviewIsWhatIsSent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	viewer := &templates.Viewer{
		Templates: &templates.Service{Store: applied{m: h.memory}, Users: h.memory, Now: h.now},
		Phones:    h.enroll,
		Options:   h.enroll.RenderOptions(),
	}
	preview := func() string {
		v, err := viewer.Preview(t.Context(), templates.PreviewRequest{Name: "mail", UPN: h.alice.UPN})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Warnings) > 0 {
			t.Errorf("got %v", v.Warnings)
		}
		return string(v.Body)
	}
	before := preview()

	p := h.newPhone(t, h.alice.UPN, strings.ToLower(udidA), 0)
	p.join(t)
	p.connect(t)
	if len(p.held) != 1 {
		t.Fatalf("the phone holds %d profiles, want 1", len(p.held))
	}
	for identifier, profile := range p.held {
		whole := maps.Clone(profile)
		delete(whole, "IsEncrypted")
		delete(whole, "EncryptedPayloadContent")
		challenges := 0
		for _, payload := range p.payloads[identifier] {
			if content, ok := payload.(map[string]any)["PayloadContent"].(map[string]any); ok && content["Challenge"] != nil {
				delete(content, "Challenge")
				challenges++
			}
		}
		whole["PayloadContent"] = p.payloads[identifier]
		sent, err := mobileconfig.EncodeTree(whole)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, string(sent)); diff != "" || challenges != 1 {
			t.Errorf("%d challenges; what was sent is not what was shown: %s", challenges, diff)
		}
	}
	if after := preview(); after != before {
		t.Error("the preview changed with the phone")
	}
}
