package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"sallyport/enroll/directory"
	"sallyport/internal/appleschema"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles/mobileconfig"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The files that a person writes into a golden archive. All others are what
// comes of them, and -update rewrites those.
const (
	goldenTemplate = "template.yaml"
	goldenPolicy   = "policy.yaml" // a security policy, in the place of a template
	goldenRival    = "rival.yaml"  // assigned beside it
	goldenUser     = "user.json"
	goldenDevice   = "device.json" // facts of the user's phone
	goldenOS       = "os.txt"      // its version, for the report of fidelity
	goldenSMIME    = "smime.json"  // the user's S/MIME keys on record
)

var goldenInputs = []string{goldenTemplate, goldenPolicy, goldenRival, goldenUser, goldenDevice, goldenOS, goldenSMIME}

const goldenApple = "apple.mobileconfig"

// golden is one archive: a template, or a security policy, and a user.
type golden struct {
	path    string
	archive *txtar.Archive
}

func (g golden) input(name string) []byte {
	i := slices.IndexFunc(g.archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return g.archive.Files[i].Data
}

func goldens(t *testing.T) []golden {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "golden", "*", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %d golden files, %v", len(paths), err)
	}
	list := make([]golden, 0, len(paths))
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, golden{path, archive})
	}
	return list
}

// goldenSecrets are there in every case. Their names say whose they are; what
// is secret of them is not read by a rendering.
func goldenSecrets() []Secret {
	file := []byte{0x30, 0x03, 0x02, 0x01, 0x03} // DER of the shortest kind
	p12 := func(name string, s Secret) Secret {
		s.Name, s.Kind, s.Revision, s.Value, s.Data = name, SecretPKCS12, "rev-"+name, secret.New("canary-of-"+name), file
		return s
	}
	word := func(name, revision string, user directory.UserID) Secret {
		return Secret{Name: name, Kind: SecretPassword, UserID: user, Revision: revision, Value: secret.New("canary-of-" + name)}
	}
	return []Secret{
		word("mail-password", "rev-everyone", ""),
		word("own-password", "rev-own", userID),
		p12("alice-p12", Secret{UserID: userID, Subject: "CN=Alice Archer", UPNs: []string{"Alice@Example.test"}, Mails: []string{"alice.archer@example.test"}}),
		p12("alice-mail-p12", Secret{UserID: userID, Mails: []string{"alice.archer@example.test"}}),
		p12("bob-p12", Secret{Subject: "CN=Bob Baker", UPNs: []string{"bob@example.test"}}),
		p12("nameless-p12", Secret{}),
	}
}

// results are the files that come of a golden archive, in their order.
type results []txtar.File

func (r *results) add(name string, data []byte) {
	if len(data) > 0 {
		*r = append(*r, txtar.File{Name: name, Data: data})
	}
}

// render makes everything that an admin would be shown of a case.
func (g golden) render(t *testing.T) results {
	t.Helper()
	u, o := g.user(t)
	if policy := g.input(goldenPolicy); policy != nil {
		return g.renderPolicy(t, policy, u, o)
	}
	spec, err := Parse(g.input(goldenTemplate))
	if err != nil {
		return refused(t, "when it is saved", err, ErrInvalid)
	}
	var out results
	r := Revision{TemplateID: templateID, Name: spec.Name, Number: 1, Spec: spec}
	out.add("assigned.txt", g.assigned(t, r, u))
	rendered, err := Render(r, u, o)
	if err != nil {
		return append(out, refused(t, "when it is rendered", err, ErrRender)...)
	}
	out.add("warnings.txt", lines(rendered.Warnings))
	if rendered.NeedsChallenge {
		rendered.Profile = rendered.WithChallenge(secret.New("one-time"))
	}
	for _, platform := range Platforms() {
		out = append(out, g.show(t, rendered, platform)...)
	}
	return out
}

func (g golden) user(t *testing.T) (directory.User, Options) {
	t.Helper()
	var u directory.User
	decode(t, g.path, g.input(goldenUser), &u)
	u.ID = userID
	o := options()
	o.Secrets = goldenSecrets()
	if facts := g.input(goldenDevice); facts != nil {
		o.Device = new(mdm.DeviceFacts)
		decode(t, g.path, facts, o.Device)
	}
	if keys := g.input(goldenSMIME); keys != nil {
		decode(t, g.path, keys, &o.SMIME)
	}
	return u, o
}

func decode(t *testing.T, path string, data []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// assigned says who gets the user's mailbox, where that is not the usual.
func (g golden) assigned(t *testing.T, r Revision, u directory.User) []byte {
	t.Helper()
	revisions := []Revision{r}
	if rival := g.input(goldenRival); rival != nil {
		spec, err := Parse(rival)
		if err != nil {
			t.Fatalf("%s: rival: %v", g.path, err)
		}
		revisions = append(revisions, Revision{TemplateID: "rival", Name: spec.Name, Number: 1, Spec: spec})
	}
	won, lost := Choose(revisions, u)
	var b strings.Builder
	if len(revisions) > 1 || len(won) == 0 {
		for _, w := range won {
			fmt.Fprintf(&b, "gets %s\n", w.Name)
		}
		for _, l := range lost {
			fmt.Fprintf(&b, "%s loses %s to %s\n", l.Revision.Name, l.Mailbox, l.Winner)
		}
		if len(won) == 0 {
			b.WriteString("gets none\n")
		}
	}
	return []byte(b.String())
}

// show is what Preview shows: the bytes, and what became of each setting.
func (g golden) show(t *testing.T, r Rendered, platform Platform) results {
	t.Helper()
	var out results
	var versions []string
	if os := strings.TrimSpace(string(g.input(goldenOS))); os != "" {
		versions = []string{os}
	}
	p, err := Show(r, platform, versions...)
	if err != nil {
		return refusedBy(t, string(platform)+".txt", "on this platform", err, ErrRender)
	}
	name := string(platform) + ".json"
	if platform == PlatformApple {
		name = goldenApple
	}
	out.add(name, p.Body)
	// What the app needs around it comes after what is warned of everywhere.
	out.add(string(platform)+".txt", append(fidelity(p.Fidelity), lines(p.Warnings[len(r.Warnings):])...))
	return out
}

func (g golden) renderPolicy(t *testing.T, policy []byte, u directory.User, o Options) results {
	t.Helper()
	spec, err := ParseSecurity(policy)
	if err != nil {
		return refused(t, "when it is saved", err, ErrInvalid)
	}
	var out results
	r := SecurityRevision{PolicyID: templateID, Name: spec.Name, Number: 1, Spec: spec}
	out.add("assigned.txt", g.chosen(t, r, u))
	profile, err := RenderSecurity(r, u, o)
	if err != nil {
		return append(out, refused(t, "when it is rendered", err, ErrRender)...)
	}
	out.add("warnings.txt", lines(spec.Warnings()))
	out.add(goldenApple, encoded(t, profile))
	out.add("apple.txt", fidelity([]AccountFidelity{{Report: mobileconfig.PasscodeFidelity(spec.Settings)}}))
	return out
}

func (g golden) chosen(t *testing.T, r SecurityRevision, u directory.User) []byte {
	t.Helper()
	revisions := []SecurityRevision{r}
	if rival := g.input(goldenRival); rival != nil {
		spec, err := ParseSecurity(rival)
		if err != nil {
			t.Fatalf("%s: rival: %v", g.path, err)
		}
		revisions = append(revisions, SecurityRevision{PolicyID: "rival", Name: spec.Name, Number: 1, Spec: spec})
	}
	chosen, ok := ChooseSecurity(revisions, u)
	switch {
	case !ok:
		return []byte("gets none\n")
	case len(revisions) > 1:
		return []byte("gets " + chosen.Name + "\n")
	}
	return nil
}

func refused(t *testing.T, when string, err, sentinel error) results {
	t.Helper()
	return refusedBy(t, "refused.txt", when, err, sentinel)
}

func refusedBy(t *testing.T, name, when string, err, sentinel error) results {
	t.Helper()
	list := refusal.All(err)
	if !errors.Is(err, sentinel) || len(list) == 0 {
		t.Fatalf("refused %s: got %v, want refusals that wrap %v", when, err, sentinel)
	}
	var out results
	out.add(name, append([]byte("refused "+when+"\n"), lines(list)...))
	return out
}

func lines(list []*refusal.Error) []byte {
	var b bytes.Buffer
	for _, e := range list {
		fmt.Fprintf(&b, "field:  %s\nreason: %s\nremedy: %s\n", e.Field, e.Reason, e.Remedy)
	}
	return b.Bytes()
}

func fidelity(list []AccountFidelity) []byte {
	var b bytes.Buffer
	for _, account := range list {
		if account.OSVersion != "" {
			fmt.Fprintf(&b, "iOS %s\n", account.OSVersion)
		}
		for _, f := range account.Report {
			fmt.Fprintf(&b, "%-11s %s", f.Status, f.Field)
			if f.Why != "" {
				fmt.Fprintf(&b, ": %s", f.Why)
			}
			if f.Substitute != "" {
				fmt.Fprintf(&b, " -> %s", f.Substitute)
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// TestGolden renders each testdata/golden/*/*.txtar: a template, or a security
// policy, and a user; and what each platform gets of it, or why not.
func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name(), func(t *testing.T) {
			var inputs, want results
			for _, f := range g.archive.Files {
				if slices.Contains(goldenInputs, f.Name) {
					inputs = append(inputs, f)
				} else {
					want = append(want, f)
				}
			}
			got := g.render(t)
			if *update {
				g.archive.Files = append(inputs, got...)
				if err := os.WriteFile(g.path, txtar.Format(g.archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(text(want), text(got)); diff != "" {
				t.Errorf("run go test ./templates -update and review the change:\n%s", diff)
			}
		})
	}
}

func (g golden) name() string {
	return filepath.Base(filepath.Dir(g.path)) + "/" + strings.TrimSuffix(filepath.Base(g.path), ".txtar")
}

func text(files results) string { return string(txtar.Format(&txtar.Archive{Files: files})) }

func TestGoldensSatisfyApplesSchema(t *testing.T) {
	schema := appleschema.Open(t)
	checked := 0
	for _, g := range goldens(t) {
		data := g.input(goldenApple)
		if data == nil {
			continue // refused
		}
		profile, err := mobileconfig.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", g.path, err)
		}
		t.Run(g.name(), func(t *testing.T) { schema.CheckProfile(t, profile) })
		checked++
	}
	t.Logf("%d golden profiles satisfy the schema", checked)
	if checked < 100 {
		t.Errorf("%d golden profiles were checked, want more", checked)
	}
}

// TestGoldensShowNoSecret: a canary is in each secret of a case.
func TestGoldensShowNoSecret(t *testing.T) {
	for _, g := range goldens(t) {
		if bytes.Contains(txtar.Format(g.archive), []byte("canary")) {
			t.Errorf("%s shows a secret", g.path)
		}
	}
}
