package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// shelf follows the contracts of access.Store, access.Verdicts and audit.Log.
type shelf struct {
	users    map[string][]directory.User
	bindings map[directory.UserID][]access.Binding
	verdicts map[mdm.EnrollmentID]compliance.Verdict
	entries  []audit.Entry

	usersTrouble, bindingsTrouble, verdictsTrouble, auditTrouble error
}

func newShelf() *shelf {
	return &shelf{
		users:    map[string][]directory.User{"alice@example.test": {{ID: "u1"}}, "alice": {{ID: "u1"}, {ID: "u2"}}},
		bindings: map[directory.UserID][]access.Binding{"u1": {{EnrollmentID: "e1", UserID: "u1", EASDeviceID: "dev1", State: mdm.Configured}}},
		verdicts: map[mdm.EnrollmentID]compliance.Verdict{"e1": {EnrollmentID: "e1", State: compliance.Compliant, Since: start, At: start, ValidUntil: start.Add(time.Hour), Policy: "standard@1"}},
	}
}

func (s *shelf) UsersByLogin(_ context.Context, login string) ([]directory.User, error) {
	return s.users[strings.ToLower(login)], s.usersTrouble
}

func (s *shelf) Bindings(_ context.Context, user directory.UserID, deviceID string) ([]access.Binding, error) {
	var found []access.Binding
	for _, b := range s.bindings[user] {
		if b.EASDeviceID == deviceID {
			found = append(found, b)
		}
	}
	return found, s.bindingsTrouble
}

func (s *shelf) Current(_ context.Context, id mdm.EnrollmentID) (compliance.Verdict, error) {
	v, ok := s.verdicts[id]
	if s.verdictsTrouble == nil && !ok {
		return v, compliance.ErrNotFound
	}
	return v, s.verdictsTrouble
}

func (s *shelf) Append(_ context.Context, e audit.Entry) error {
	if s.auditTrouble == nil {
		s.entries = append(s.entries, e)
	}
	return s.auditTrouble
}

func (s *shelf) List(context.Context, audit.Filter) ([]audit.Entry, error) { return s.entries, nil }

// say changes what compliance says of the phone.
func (s *shelf) say(state compliance.State) {
	v := s.verdicts["e1"]
	v.State = state
	s.verdicts["e1"] = v
}

func newEngine(s *shelf) *access.Engine {
	return &access.Engine{Store: s, Verdicts: s, Audit: s, Now: func() time.Time { return start }}
}

func client() access.Client {
	return access.Client{User: "Alice@example.test", DeviceID: "DEV1", DeviceType: "iPhone", UserAgent: "Apple-iPhone15C4/2002.91"}
}

func TestEngineDecides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*shelf, *access.Client)
		want access.Effect
		rule string
	}{
		{"compliant, in other letters", func(*shelf, *access.Client) {}, access.Allow, "verdict"},
		{"unknown user", func(_ *shelf, c *access.Client) { c.User = "mallory@example.test" }, access.Block, "user"},
		{"ambiguous user", func(_ *shelf, c *access.Client) { c.User = "alice" }, access.Block, "user"},
		{"unknown device", func(_ *shelf, c *access.Client) { c.DeviceID = "dev2" }, access.Quarantine, "device"},
		{"ended", func(s *shelf, _ *access.Client) { s.bindings["u1"][0].State = mdm.CheckedOut }, access.Block, "device"},
		{"verdict missing", func(s *shelf, _ *access.Client) { delete(s.verdicts, "e1") }, access.Quarantine, "policy"},
		{"not compliant", func(s *shelf, _ *access.Client) { s.say(compliance.NotCompliant) }, access.Block, "verdict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := newShelf(), client()
			tt.set(s, &c)
			d, err := newEngine(s).Decide(t.Context(), c)
			if err != nil || d.Effect != tt.want || d.Reasons[0].Rule != tt.rule {
				t.Errorf("got %+v, %v, want %s for %s", d, err, tt.want, tt.rule)
			}
		})
	}
}

// Trouble never lets anybody in, and is never mistaken for an answer.
func TestEngineFailsClosed(t *testing.T) {
	t.Parallel()
	away := errors.New("database is away")
	tests := map[string]func(*shelf){
		"users":    func(s *shelf) { s.usersTrouble = away },
		"bindings": func(s *shelf) { s.bindingsTrouble = away },
		"verdicts": func(s *shelf) { s.verdictsTrouble = away },
		"stale":    func(s *shelf) { s.verdictsTrouble = errors.Join(compliance.ErrStale, away) },
		"audit":    func(s *shelf) { s.auditTrouble = away; s.say(compliance.NotCompliant) },
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			set(s)
			d, err := newEngine(s).Decide(t.Context(), client())
			if !errors.Is(err, access.ErrUnavailable) || !errors.Is(err, away) || d.Effect != "" {
				t.Errorf("got %+v, %v, want ErrUnavailable and no decision", d, err)
			}
		})
	}
}

func TestEngineRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 2000)
	tests := []struct {
		name string
		c    access.Client
		want string
	}{
		{"nothing", access.Client{}, "user, device_id"},
		{"too long", access.Client{User: long, DeviceID: long, DeviceType: long, UserAgent: long}, "user, device_id, device_type, user_agent"},
		{"control characters", access.Client{User: "a\x00", DeviceID: "d", DeviceType: "\n", UserAgent: "\x1b"}, "user, device_type, user_agent"},
		{"device with a space", access.Client{User: "a", DeviceID: "d 1"}, "device_id"},
		{"device that is not ASCII", access.Client{User: "a", DeviceID: "ſ"}, "device_id"}, // lower-cases to itself, upper-cases to S
		{"not UTF-8", access.Client{User: "\xff", DeviceID: "d"}, "user"},
		{"longest", access.Client{User: long[:320], DeviceID: long[:128], DeviceType: long[:128], UserAgent: long[:1024]}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newEngine(newShelf()).Decide(t.Context(), tt.c)
			var fields []string
			for _, f := range refusal.All(err) {
				fields = append(fields, f.Field)
			}
			if got := strings.Join(fields, ", "); got != tt.want || (tt.want != "") != errors.Is(err, access.ErrInvalid) {
				t.Errorf("got %v, want refusals of %q", err, tt.want)
			}
		})
	}
}

// The trail gets each change of an enrolled phone's answer once, and nothing
// that a stranger can cause at will.
func TestEngineAuditsChanges(t *testing.T) {
	t.Parallel()
	s := newShelf()
	e := newEngine(s)
	ask := func(c access.Client) {
		t.Helper()
		if _, err := e.Decide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	stranger := access.Client{User: "mallory@example.test", DeviceID: "x"}
	foreign := client()
	foreign.DeviceID = "dev2"
	for _, state := range []compliance.State{compliance.Compliant, compliance.NotCompliant, compliance.NotEvaluated, compliance.Compliant} {
		s.say(state)
		for range 3 {
			ask(client())
			ask(stranger)
			ask(foreign)
		}
	}
	var got []string
	for _, entry := range s.entries {
		if entry.Action != "access.decide" || entry.Target != "e1" || entry.Detail["user_id"] != "u1" || entry.Detail["reasons"] == "" {
			t.Errorf("audit entry %+v", entry)
		}
		got = append(got, entry.Detail["decision"]+" "+string(entry.Outcome))
	}
	if want := "block refused, quarantine refused, allow done"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
