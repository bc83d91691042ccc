package templates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// staff is a directory of a few.
type staff []directory.User

func (p staff) UserByID(_ context.Context, id directory.UserID) (directory.User, error) {
	for _, u := range p {
		if u.ID == id {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (p staff) UserByUPN(_ context.Context, upn string) (directory.User, error) {
	for _, u := range p {
		if strings.EqualFold(u.UPN, upn) {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (p staff) ListUsers(_ context.Context, _ string, page directory.Page) ([]directory.User, error) {
	var list []directory.User
	for _, u := range p {
		if u.UPN > page.After && len(list) < pageSize(page) {
			list = append(list, u)
		}
	}
	return list, nil
}

// pocket holds everybody's phones.
type pocket map[directory.UserID][]mdm.DeviceFacts

func (p pocket) PhonesOf(_ context.Context, u directory.User) ([]mdm.DeviceFacts, error) {
	return p[u.ID], nil
}

func person(name string, groups ...string) directory.User {
	return directory.User{ID: directory.UserID(name), UPN: name + "@example.test", Email: name + "@example.test", Username: name, FirstName: strings.ToUpper(name[:1]) + name[1:], Groups: groups}
}

func newViewer(t *testing.T, sources ...string) (*Viewer, *memory) {
	t.Helper()
	m := &memory{}
	carol := person("carol", "sales")
	carol.FirstName = ""
	info := person("info", "sales")
	info.SharedMailbox = true
	s := &Service{Store: m, Users: staff{person("alice", "sales"), person("bob", "board"), carol, info}, Now: time.Now}
	for _, source := range sources {
		if _, _, err := s.Apply(t.Context(), []byte(source)); err != nil {
			t.Fatal(err)
		}
	}
	return &Viewer{Templates: s, Options: options()}, m
}

func template(name, assign, more string) string {
	return fmt.Sprintf("name: %s\ndisplay_name: Mail\nassign: %s\naccounts:\n  - {name: Mail, host: mail.example.test%s}\n", name, assign, more)
}

func TestPreviewApple(t *testing.T) {
	v, _ := newViewer(t, template("mail", "everyone", ", identity: scep"))
	p, err := v.Preview(t.Context(), PreviewRequest{Name: "mail", UPN: "Alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Templates.Get(t.Context(), "mail")
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := Render(r, person("alice", "sales"), options())
	if err != nil {
		t.Fatal(err)
	}
	want, err := rendered.Profile.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Body, want) || p.User != "alice@example.test" || p.Revision != 1 || p.Platform != PlatformApple || p.ContentType != mobileconfig.ContentType || p.Redacted {
		t.Errorf("got %+v", p)
	}
	if !strings.Contains(p.Tree, "EmailAddress: alice@example.test") || p.Warnings == nil || len(p.Warnings) != 0 {
		t.Errorf("got tree\n%s\nwarnings %v", p.Tree, p.Warnings)
	}
	// The challenge is all that a delivery adds.
	sent, err := rendered.WithChallenge(secret.New("CHALLENGE")).Encode()
	if err != nil {
		t.Fatal(err)
	}
	less := regexp.MustCompile(`\t*<key>Challenge</key>\n\t*<string>CHALLENGE</string>\n`).ReplaceAllString(string(sent), "")
	if diff := cmp.Diff(less, string(p.Body)); diff != "" {
		t.Errorf("what is sent differs by more than the challenge: %s", diff)
	}
}

func TestPreviewPerPhone(t *testing.T) {
	v, _ := newViewer(t, template("mail", "everyone", ", oauth: {enabled: true, sign_in_url: 'https://login.example.test/'}"))
	v.Phones = pocket{"alice": {{OSVersion: "18.1"}, {OSVersion: "11.4"}, {OSVersion: "18.1"}}}
	status := func(q PreviewRequest) (text string) {
		p, err := v.Preview(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range p.Fidelity {
			for _, f := range account.Report {
				if f.Field == "oauth.enabled" {
					text += account.OSVersion + " " + string(f.Status) + " "
				}
			}
		}
		return text
	}
	if got := status(PreviewRequest{Name: "mail", UPN: "alice@example.test"}); got != "18.1 applied 11.4 unsupported " {
		t.Errorf("her phones: got %s", got)
	}
	if got := status(PreviewRequest{Name: "mail", UPN: "alice@example.test", OSVersion: "11.0"}); got != "11.0 unsupported " {
		t.Errorf("another version: got %s", got)
	}
	if got := status(PreviewRequest{Name: "mail", UPN: "bob@example.test"}); got != " applied " {
		t.Errorf("no phone: got %s", got)
	}
}

func TestPreviewPlatforms(t *testing.T) {
	source := template("mail", "everyone", "") + "  - {name: Other, host: other.example.test}\n"
	v, _ := newViewer(t, source)
	for _, platform := range []Platform{PlatformGmail, PlatformOutlook, PlatformOutlookIOS} {
		p, err := v.Preview(t.Context(), PreviewRequest{Name: "mail", UPN: "alice@example.test", Platform: platform})
		if err != nil {
			t.Errorf("%s: %v", platform, err)
			continue
		}
		if !strings.Contains(p.Tree, "alice@example.test") || strings.Contains(p.Tree, "other.example.test") || p.ContentType != "application/json" || string(p.Body) != p.Tree {
			t.Errorf("%s: got %+v", platform, p)
		}
		if last := p.Fidelity[len(p.Fidelity)-1]; last.Account != "Other" || last.Report[0].Status != profiles.Unsupported {
			t.Errorf("%s: the second account is not reported: %+v", platform, p.Fidelity)
		}
	}
	if _, err := v.Preview(t.Context(), PreviewRequest{Name: "mail", UPN: "alice@example.test", Platform: "symbian"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestPreviewNotes(t *testing.T) {
	v, _ := newViewer(t, template("mail", "everyone", ""), template("board", "{groups: [board]}", ""))
	for _, test := range []struct{ name, upn, field, says string }{
		{"mail", "alice@example.test", "", ""},
		{"board", "bob@example.test", "", ""},
		{"mail", "bob@example.test", "priority", "board instead"},
		{"board", "alice@example.test", "assign", "does not reach"},
	} {
		p, err := v.Preview(t.Context(), PreviewRequest{Name: test.name, UPN: test.upn})
		if err != nil {
			t.Fatal(err)
		}
		if test.field == "" {
			if len(p.Warnings) != 0 {
				t.Errorf("%s for %s: got %v", test.name, test.upn, p.Warnings)
			}
			continue
		}
		if len(p.Warnings) != 1 || p.Warnings[0].Field != test.field || !strings.Contains(p.Warnings[0].Reason, test.says) {
			t.Errorf("%s for %s: got %v, want %s", test.name, test.upn, p.Warnings, test.says)
		}
	}
}

func TestPreviewRefuses(t *testing.T) {
	v, _ := newViewer(t, template("mail", "everyone", ", user_name: '%firstname%'"))
	for name, test := range map[string]struct {
		q    PreviewRequest
		want error
	}{
		"no such template": {PreviewRequest{Name: "x", UPN: "alice@example.test"}, ErrNotFound},
		"no such user":     {PreviewRequest{Name: "mail", UPN: "x@example.test"}, directory.ErrNotFound},
		"wrong source":     {PreviewRequest{Source: []byte("name: x"), UPN: "alice@example.test"}, ErrInvalid},
		"missing value":    {PreviewRequest{Name: "mail", UPN: "carol@example.test"}, ErrRender},
		"shared mailbox":   {PreviewRequest{Name: "mail", UPN: "info@example.test"}, ErrRender},
	} {
		if _, err := v.Preview(t.Context(), test.q); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	p, err := v.Preview(t.Context(), PreviewRequest{Source: []byte(template("mail", "everyone", ", prevent_move: true")), UPN: "alice@example.test"})
	if err != nil || p.Revision != 0 || !strings.Contains(p.Tree, "PreventMove: yes") || !strings.Contains(p.Tree, templateID) {
		t.Errorf("a candidate: got %+v, %v, want it with the identity of its template", p, err)
	}
}

func TestCheck(t *testing.T) {
	v, _ := newViewer(t,
		template("mail", "{groups: [sales, board]}", ", user_name: '%firstname%'"),
		strings.Replace(template("serial", "{groups: [board]}", ", user_name: '%serialnumber%'"), "mail.example", "serial.example", 1),
		strings.Replace(template("other", "{groups: [board]}", ", user_name: '%firstname%'"), "assign", "priority: -1\nassign", 1))
	report, err := v.Check(t.Context(), CheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := CheckReport{Users: 4, Rendered: 2, Refused: 1, Lost: 1, SharedMailbox: 1, Waiting: 1}
	want.Failures, report.Failures = nil, explained(t, report.Failures)
	if diff := cmp.Diff(want, report, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Failures" || p.Last().String() == ".Warnings" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	var kinds string
	for _, f := range report.Failures {
		kinds += f.User[:strings.Index(f.User, "@")] + " " + f.Template + " " + string(f.Kind) + "; "
	}
	if want := "bob other lost; carol mail refused; info mail shared_mailbox; "; kinds != want {
		t.Errorf("got %s\nwant %s", kinds, want)
	}
	v.Phones = pocket{"bob": {{Serial: "C39"}}}
	if report, err = v.Check(t.Context(), CheckRequest{Name: "serial"}); err != nil || report.Rendered != 1 || report.Waiting != 0 || report.Unassigned != 3 {
		t.Errorf("with his phone: got %+v, %v", report, err)
	}
}

func explained(t *testing.T, failures []Failure) []Failure {
	t.Helper()
	for _, f := range failures {
		if f.Reason == "" || f.Remedy == "" {
			t.Errorf("%+v says not why or what to do", f)
		}
	}
	return failures
}

// TestCheckPages: the sum of the pages is the whole.
func TestCheckPages(t *testing.T) {
	v, _ := newViewer(t, template("mail", "everyone", ", user_name: '%firstname%'"))
	whole, err := v.Check(t.Context(), CheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	sum, page := CheckReport{Failures: []Failure{}}, directory.Page{Limit: 1}
	for range 10 {
		part, err := v.Check(t.Context(), CheckRequest{Page: page})
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(part)
		if page.After = part.Next; part.Next == "" {
			break
		}
	}
	if diff := cmp.Diff(whole, sum); diff != "" {
		t.Error(diff)
	}
}

func TestPlan(t *testing.T) {
	mail := template("mail", "{groups: [sales]}", "")
	tests := []struct {
		name, source string
		touched      string
		effects      []Effect
		refused      int
	}{
		{"nothing", mail, "", []Effect{}, 0},
		{"a comment", "# new\n" + mail, "", []Effect{}, 0},
		{"what nobody sees", mail + "priority: 1\n", "", []Effect{}, 0},
		{"a setting", template("mail", "{groups: [sales]}", ", prevent_move: true"), "alice carol", []Effect{}, 0},
		{"more people", template("mail", "everyone", ""), "bob", []Effect{{"mail", 1, 0}}, 0},
		{"fewer people", template("mail", "{users: [alice@example.test]}", ""), "carol", []Effect{{"mail", 0, 1}}, 0},
		{"some cannot have it", template("mail", "{groups: [sales]}", ", user_name: '%firstname%'"), "alice", []Effect{}, 1},
		{"another takes the mailbox", template("a-better", "{users: [alice@example.test]}", ""), "alice", []Effect{{"a-better", 1, 0}, {"mail", 0, 1}}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, m := newViewer(t, mail)
			plan, err := v.Plan(t.Context(), []byte(test.source))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.revisions) != 1 || plan.Changes == nil {
				t.Fatal("a plan was carried out, or has no list of changes")
			}
			var touched []string
			for _, upn := range plan.Sample {
				touched = append(touched, strings.TrimSuffix(upn, "@example.test"))
			}
			if got := strings.Join(touched, " "); got != test.touched || plan.Touched != len(touched) || plan.Users != 4 {
				t.Errorf("touches %q of %d, want %q", got, plan.Users, test.touched)
			}
			if diff := cmp.Diff(test.effects, plan.Effects); diff != "" {
				t.Error(diff)
			}
			if plan.Refused != test.refused || len(plan.Failures) != test.refused {
				t.Errorf("refused %d: %v", plan.Refused, plan.Failures)
			}
			if plan.Changed != (test.source != mail) {
				t.Errorf("changed is %v", plan.Changed)
			}
		})
	}
	v, _ := newViewer(t)
	if _, err := v.Plan(t.Context(), []byte("name: x")); !errors.Is(err, ErrInvalid) || len(refusal.All(err)) == 0 {
		t.Errorf("got %v, want it refused by field", err)
	}
}

func TestAssign(t *testing.T) {
	source := "# ours\n" + template("mail", "everyone # all", "")
	v, m := newViewer(t, source)
	s := v.Templates
	r, changed, err := s.Assign(t.Context(), "mail", directory.Audience{Groups: []string{"board"}}, &directory.Audience{Users: []string{"bob@example.test"}}, 1)
	if err != nil || !changed || r.Number != 2 {
		t.Fatalf("got %+v, %v, %v", r, changed, err)
	}
	want := "# ours\nname: mail\ndisplay_name: Mail\nassign:\n  groups:\n    - board\naccounts:\n  - {name: Mail, host: mail.example.test}\nexclude:\n  users:\n    - bob@example.test\n"
	if r.Source != want {
		t.Errorf("got\n%s\nwant\n%s", r.Source, want)
	}
	if _, _, err := s.Assign(t.Context(), "mail", directory.Audience{Everyone: true}, nil, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("a stale one: got %v, want ErrConflict", err)
	}
	if r, _, err = s.Assign(t.Context(), "mail", directory.Audience{Everyone: true}, nil, AnyRevision); err != nil || !r.Spec.Assign.Everyone || r.Spec.Exclude.Nobody() {
		t.Errorf("got %+v, %v, want everyone and the exclusion kept", r.Spec, err)
	}
	if _, _, err := s.Assign(t.Context(), "x", directory.Audience{}, nil, AnyRevision); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, _, err := s.Assign(t.Context(), "mail", directory.Audience{Groups: []string{" "}}, nil, AnyRevision); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if got := m.entries[1].Action; got != "template.assign" {
		t.Errorf("audited as %s", got)
	}
}

// TestSharedMailboxAsTarget: who names one hears it at once, not at delivery.
func TestSharedMailboxAsTarget(t *testing.T) {
	v, m := newViewer(t, template("mail", "everyone", ""))
	named := template("named", "{users: [bob@example.test, INFO@example.test]}", "")
	_, _, applied := v.Templates.Apply(t.Context(), []byte(named))
	_, planned := v.Plan(t.Context(), []byte(named))
	_, _, assigned := v.Templates.Assign(t.Context(), "mail", directory.Audience{Users: []string{"bob@example.test", "info@example.test"}}, nil, AnyRevision)
	for name, err := range map[string]error{"apply": applied, "plan": planned, "assign": assigned} {
		list := refusal.All(err)
		if !errors.Is(err, ErrInvalid) || len(list) != 1 || list[0].Field != "assign.users[1]" || !strings.Contains(list[0].Reason, "is a shared mailbox") {
			t.Errorf("%s: got %v, want it refused by field", name, err)
		}
	}
	if len(m.entries) != 1 {
		t.Errorf("got %d entries, want nothing saved", len(m.entries))
	}
	if _, _, err := v.Templates.Apply(t.Context(), []byte(template("later", "{users: [nobody.yet@example.test]}", ""))); err != nil {
		t.Errorf("a user who comes later: %v", err)
	}
}
