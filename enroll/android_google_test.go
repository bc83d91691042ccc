package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// googleFake answers what phones' policies need, and refuses what it is told to.
type googleFake struct {
	AndroidPolicies
	AndroidDevices
	calls   []string
	refuse  map[string]error // by method
	devices map[string]android.Phone
	version int64
}

func (g *googleFake) call(method, about string) error {
	g.calls = append(g.calls, method+" "+about)
	return g.refuse[method]
}

func (g *googleFake) PatchPolicy(_ context.Context, name string, _ android.Policy) (int64, error) {
	g.version++
	return g.version, g.call("patch", name)
}

func (g *googleFake) ModifyApplications(_ context.Context, name string, apps []android.Application) (int64, error) {
	g.version++
	return g.version, g.call("modify", fmt.Sprintf("%s %d", name, len(apps)))
}

func (g *googleFake) DeletePolicy(_ context.Context, name string) error {
	return g.call("delete", name)
}

func (g *googleFake) SetPolicy(_ context.Context, device, policy string) error {
	return g.call("set", device+" "+policy)
}

func (g *googleFake) Device(_ context.Context, name string) (android.Phone, error) {
	if err := g.call("get", name); err != nil {
		return android.Phone{}, err
	}
	p, ok := g.devices[name]
	if !ok {
		return android.Phone{}, &android.Problem{Code: 404, Plain: "Google does not know it"}
	}
	return p, nil
}

func (g *googleFake) api() AndroidAPI { return AndroidAPI{AndroidPolicies: g, AndroidDevices: g} }

// said are the calls since the last time.
func (g *googleFake) said() string {
	defer func() { g.calls = nil }()
	return strings.Join(g.calls, ", ")
}

var (
	unavailable = &android.Problem{Code: 503, Plain: "Google's service is not available", Retry: true}
	revoked     = &android.Problem{Code: 401, Plain: "Google does not accept the key", Caller: true}
	malformed   = &android.Problem{Code: 400, Plain: "Google refuses what was sent"}
	notFound    = &android.Problem{Code: 404, Plain: "Google does not know it"}
)

// wanting is a policy with one mail account.
func wanting(t *testing.T, host string, mode android.Mode) androidWant {
	t.Helper()
	app := android.MailApp{Package: managedconfig.GmailPackage, Config: managedconfig.Bundle{"exchange_host": host}}
	policy, _, err := android.BuildPolicy(android.PolicyInput{Mode: mode, Mail: []android.MailApp{app}})
	if err != nil {
		t.Fatal(err)
	}
	return androidWant{policy: policy, accounts: []androidAccount{{AndroidMail: AndroidMail{Identifier: "mail", UUID: host, Package: string(app.Package)}, app: app}}}
}

// TestAndroidSend: Google is told what differs from what it was told last, and no more.
func TestAndroidSend(t *testing.T) {
	t.Parallel()
	const id, name = "d-01", "enterprises/E/policies/d-01"
	g, a := &googleFake{refuse: map[string]error{}}, &Androids{Service: &Service{}}
	p := AndroidPhone{EnrollmentID: "01", Name: "enterprises/E/devices/D"}
	for i, step := range []struct {
		host    string
		mode    android.Mode
		refuse  map[string]error
		said    string
		version int64 // that Google is known to have
		since   int64 // of the account
		fails   bool
	}{
		{host: "a", mode: android.WorkProfile, refuse: map[string]error{"patch": unavailable}, said: "patch " + name, fails: true},
		{host: "a", mode: android.WorkProfile, refuse: map[string]error{"set": unavailable}, said: "patch " + name + ", set " + p.Name + " " + id, version: 2, since: 2, fails: true},
		{host: "a", mode: android.WorkProfile, said: "set " + p.Name + " " + id, version: 2, since: 2},
		{host: "a", mode: android.WorkProfile, version: 2, since: 2},
		{host: "b", mode: android.WorkProfile, refuse: map[string]error{"modify": revoked}, said: "modify " + name + " 1", version: 2, since: 2, fails: true},
		{host: "b", mode: android.WorkProfile, said: "modify " + name + " 1", version: 4, since: 4},
		{host: "c", mode: android.WorkProfile, refuse: map[string]error{"modify": notFound}, said: "modify " + name + " 1, patch " + name, version: 6, since: 6},
		{host: "c", mode: android.FullyManaged, said: "patch " + name, version: 7, since: 6}, // the account is as it was
	} {
		g.refuse = step.refuse
		err := a.send(t.Context(), g.api(), "enterprises/E", &p, wanting(t, step.host, step.mode))
		if said := g.said(); said != step.said || (err != nil) != step.fails {
			t.Errorf("step %d: %q, %v; want %q", i, said, err, step.said)
		}
		since := int64(0)
		if len(p.Sent.Mail) == 1 {
			since = p.Sent.Mail[0].Since
		}
		if p.Sent.Version != step.version || since != step.since {
			t.Errorf("step %d: version %d, account since %d; want %d and %d", i, p.Sent.Version, since, step.version, step.since)
		}
	}
}

// TestAndroidKeepsItsPolicyMeanwhile: what the companion app alone is told makes no
// phone's policy an old one.
func TestAndroidKeepsItsPolicyMeanwhile(t *testing.T) {
	t.Parallel()
	g, a := &googleFake{refuse: map[string]error{}}, &Androids{Service: &Service{}}
	p := AndroidPhone{EnrollmentID: "01", Name: "enterprises/E/devices/D"}
	for i, step := range []struct {
		host, told     string
		version, since int64
	}{
		{"a", "", 1, 1},
		{"a", "first", 2, 1},
		{"a", "second", 3, 1},
		{"b", "second", 4, 4}, // another account
		{"b", "third", 5, 4},
		{"c", "fourth", 6, 6}, // both
		{"c", "", 7, 6},
	} {
		want := wanting(t, step.host, android.WorkProfile)
		if step.told != "" {
			in := android.PolicyInput{Mode: android.WorkProfile, Mail: []android.MailApp{want.accounts[0].app}}
			in.Companion = &android.Companion{Package: "com.example.agent", Config: managedconfig.Bundle{"token": step.told}}
			want.bare = want.policy
			var err error
			if want.policy, _, err = android.BuildPolicy(in); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.send(t.Context(), g.api(), "enterprises/E", &p, want); err != nil {
			t.Fatal(err)
		}
		if p.Sent.Version != step.version || p.Sent.Since != step.since {
			t.Errorf("step %d: version %d since %d, want %d since %d", i, p.Sent.Version, p.Sent.Since, step.version, step.since)
		}
	}
}

// TestAndroidDismiss: what a phone was given is taken back and deleted, and is not
// forgotten because Google refuses us for now.
func TestAndroidDismiss(t *testing.T) {
	t.Parallel()
	const set, remove = "set enterprises/E/devices/D " + android.BasePolicyID, ", delete enterprises/E/policies/d-01"
	ours := errors.New("ours")
	for _, tt := range []struct {
		set, remove error
		said        string
		done        bool
	}{
		{nil, nil, set + remove, true},
		{notFound, nil, set + remove, true},
		{unavailable, nil, set, false},
		{revoked, nil, set, false},
		{malformed, nil, set, false},
		{ours, nil, set, false},
		{nil, notFound, set + remove, true},
		{nil, malformed, set + remove, true}, // a device has it still: nobody gets further by asking again
		{nil, unavailable, set + remove, false},
		{nil, revoked, set + remove, false},
		{nil, ours, set + remove, false},
	} {
		g := &googleFake{refuse: map[string]error{"set": tt.set, "delete": tt.remove}}
		p := AndroidPhone{Name: "enterprises/E/devices/D", Sent: AndroidPolicy{Name: "d-01"}}
		err := (&Androids{Service: &Service{}}).dismiss(t.Context(), g.api(), "enterprises/E", &p)
		if said := g.said(); (err == nil) != tt.done || (p.Sent.Name == "") != tt.done || said != tt.said {
			t.Errorf("%v, %v: %v, %q, %+v", tt.set, tt.remove, err, said, p.Sent)
		}
	}
}

func TestAndroidBackOff(t *testing.T) {
	t.Parallel()
	for failures, most := range map[int]time.Duration{-1: time.Minute, 0: time.Minute, 1: 2 * time.Minute, 5: 32 * time.Minute, 9: 6 * time.Hour, 1000: 6 * time.Hour} {
		for range 50 {
			if d := androidBackOff(failures, unavailable); d > most || d < most*3/4 {
				t.Errorf("after %d failures: %v, want up to %v less a quarter", failures, d, most)
			}
		}
	}
	for asked, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: time.Hour, 24 * time.Hour: 6 * time.Hour} {
		if d := androidBackOff(3, fmt.Errorf("send policy: %w", &android.Problem{Code: 429, Retry: true, After: asked})); d != want {
			t.Errorf("asked to wait %v: %v, want %v", asked, d, want)
		}
	}
	var r rest
	now := time.Now()
	r.failed(now, unavailable)
	if r.over(now.Add(time.Second)) || !r.over(now.Add(time.Minute)) || !r.over(now.Add(-24*time.Hour)) {
		t.Errorf("%+v: over at the wrong time", r)
	}
}

// TestAndroidGiven: no phone is expected to have what Google was not given.
func TestAndroidGiven(t *testing.T) {
	t.Parallel()
	sent := AndroidPolicy{Mail: []AndroidMail{{Identifier: "mail", UUID: "old"}}}
	for _, tt := range []struct{ identifier, uuid, want string }{{"mail", "new", "old"}, {"mail", "", ""}, {"other", "new", "new"}} {
		if got := sent.given(AndroidMail{Identifier: tt.identifier, UUID: tt.uuid}); got.UUID != tt.want {
			t.Errorf("%+v: %q", tt, got.UUID)
		}
	}
}

// liveFake are the phones on record.
type liveFake map[mdm.EnrollmentID]AndroidPhone

func (l liveFake) LivePhones(_ context.Context, after mdm.EnrollmentID, limit int) ([]AndroidPhone, error) {
	list := slices.SortedFunc(maps.Values(l), func(x, y AndroidPhone) int { return cmp.Compare(x.EnrollmentID, y.EnrollmentID) })
	list = slices.DeleteFunc(list, func(p AndroidPhone) bool { return p.EnrollmentID <= after })
	return list[:min(len(list), limit)], nil
}

func (l liveFake) SaveMissing(_ context.Context, id mdm.EnrollmentID, since time.Time) error {
	p := l[id]
	p.MissingSince = since
	l[id] = p
	return nil
}

// TestAndroidCompare: an enrolment ends when two lists in a row lack its phone and
// Google says of the phone, too, that it is not there; and never otherwise.
func TestAndroidCompare(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	type pass struct {
		at     time.Duration // since noon
		listed bool
		get    error // nil: Google knows the phone itself
	}
	for name, tt := range map[string]struct {
		phones int // all fare alike
		passes []pass
		ended  bool
		shown  bool // as missing
	}{
		"listed":                 {1, []pass{{0, true, nil}, {time.Hour, true, nil}}, false, false},
		"missing once":           {1, []pass{{0, false, notFound}}, false, true},
		"missing twice":          {1, []pass{{0, false, notFound}, {time.Hour, false, notFound}}, true, true},
		"too early":              {1, []pass{{0, false, notFound}, {10 * time.Minute, false, notFound}}, false, true},
		"back":                   {1, []pass{{0, false, notFound}, {time.Hour, true, nil}}, false, false},
		"back in between":        {1, []pass{{0, false, notFound}, {time.Hour, true, nil}, {2 * time.Hour, false, notFound}}, false, true},
		"known, and not listed":  {1, []pass{{0, false, nil}, {time.Hour, false, nil}}, false, false},
		"known after all":        {1, []pass{{0, false, notFound}, {time.Hour, false, nil}}, false, false},
		"trouble at the second":  {1, []pass{{0, false, notFound}, {time.Hour, false, unavailable}}, false, true},
		"our key at the second":  {1, []pass{{0, false, notFound}, {time.Hour, false, revoked}}, false, true},
		"trouble at the first":   {1, []pass{{0, false, unavailable}, {time.Hour, false, notFound}}, false, true},
		"it came meanwhile":      {1, []pass{{-time.Hour, false, notFound}, {-30 * time.Minute, false, notFound}}, false, false},
		"ten at once":            {10, []pass{{0, false, notFound}, {time.Hour, false, notFound}}, true, true},
		"nearly all, and many":   {11, []pass{{0, false, notFound}, {time.Hour, false, notFound}}, false, true},
		"the clock was set back": {1, []pass{{time.Hour, false, notFound}, {0, false, notFound}}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, live, now := newMemory(), liveFake{}, noon
			s := &Service{Enrollments: m, Audit: m, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
			a, g := &Androids{Service: s, Lists: live}, &googleFake{refuse: map[string]error{}, devices: map[string]android.Phone{}}
			names := map[string]bool{}
			for i := range tt.phones {
				id, phone := mdm.EnrollmentID(fmt.Sprintf("e%02d", i)), fmt.Sprintf("enterprises/E/devices/%02d", i)
				m.enrollments[id] = mdm.Enrollment{ID: id, Platform: mdm.Android, State: mdm.Configured, CreatedAt: noon.Add(-10 * time.Minute)}
				live[id] = AndroidPhone{EnrollmentID: id, Name: phone, ReportedAt: noon.Add(-5 * time.Minute)}
				names[phone], g.devices[phone] = true, android.Phone{Name: phone}
			}
			for _, p := range tt.passes {
				now = noon.Add(p.at)
				l := listing{began: now, names: map[string]bool{}}
				if p.listed {
					l.names = names
				}
				g.refuse["get"] = p.get
				err := a.compare(t.Context(), g.api(), l)
				if want := p.get != nil && !gone(p.get) && !p.listed; (err != nil) != want {
					t.Errorf("at %v: %v", p.at, err)
				}
			}
			for id, p := range live {
				if e := m.enrollments[id]; e.State.Ended() != tt.ended || p.MissingSince.IsZero() == tt.shown {
					t.Errorf("%s is %s, missing since %v", id, e.State, p.MissingSince)
				}
			}
		})
	}
}
