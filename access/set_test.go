package access_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// straightforward is what a decision rests on as the doc comments of Inputs, Entry
// and Proof say it, read from the entries one after the other.
func straightforward(entries []access.Entry, w access.World, c access.Client, now time.Time) access.Inputs {
	in := access.Inputs{At: now, Client: c, World: w}
	var one access.Entry
	for _, e := range entries {
		if c.User != "" && slices.Contains(e.Logins, directory.Fold(c.User)) {
			in.People, one = append(in.People, e.Person), e
		}
	}
	if len(in.People) != 1 {
		return in
	}
	key := access.Canonical(c.DeviceID)
	for _, d := range one.Devices {
		if d.Key == key {
			d.Spellings, d.Address, d.FirstAt, d.LastAt, d.SyncAt, d.Effect, d.Step, d.SinceAt = nil, "", time.Time{}, time.Time{}, time.Time{}, "", "", time.Time{}
			in.Device = d
		}
	}
	for _, p := range one.Phones {
		if in.Device.Bound == p.EnrollmentID && in.Device.Bound != "" {
			p.Proof = in.Device.Proof
		}
		if c.Certificate != "" && slices.Contains(p.Certificates, c.Certificate) {
			p.Proof = access.ProofCertificate
		}
		if p.EASKey == key {
			p.Proof = access.ProofReported
		}
		if p.Proof == access.ProofNone {
			continue
		}
		var findings []compliance.Finding
		for _, f := range p.Verdict.Findings {
			if f.State == compliance.Met {
				if f.Rule != compliance.RuleMailProfile {
					continue
				}
				f = compliance.Finding{Rule: f.Rule, State: f.State}
			}
			findings = append(findings, f)
		}
		p.Verdict.Findings = findings
		in.Phones = append(in.Phones, p)
	}
	in.Personal = one.Personal
	return in
}

// some draws entries in which everything may be shared, missing or odd.
type some struct{ *rapid.T }

func (s some) of(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(s.T, label)
}

func (s some) id(label string) string {
	if rapid.Bool().Draw(s.T, label+" is no UUID") {
		return s.of(label, "x", "", "00000000-0000-0000-0000-00000000000", "A0000000-0000-0000-0000-000000000001")
	}
	return uuid.NewSHA1(uuid.Nil, []byte{byte(rapid.IntRange(0, 30).Draw(s.T, label))}).String()
}

func (s some) time(label string) time.Time {
	if rapid.Bool().Draw(s.T, label+" is zero") {
		return time.Time{}
	}
	return time.UnixMicro(rapid.Int64Range(-1<<50, 1<<52).Draw(s.T, label)).UTC()
}

func (s some) word(label string) string {
	return s.of(label, "", "iPhone", "iPad", "ä", strings.Repeat("long", 100), rapid.StringN(0, 3, 8).Draw(s.T, label))
}

func (s some) key(label string) access.DeviceKey {
	return access.DeviceKey(s.of(label, "dev1", "dev2", "0123456789abcdef0123456789abcdef", "dev3"))
}

func (s some) hash(label string) string {
	return s.of(label, strings.Repeat("ab", 32), strings.Repeat("00", 32), strings.Repeat("AB", 32), "short", "")
}

func (s some) times(n int, do func(i int)) {
	for i := range rapid.IntRange(0, n).Draw(s.T, "times") {
		do(i)
	}
}

func (s some) note() access.Note {
	return access.Note{By: s.word("by"), At: s.time("at"), Reason: s.word("reason")}
}

func (s some) entry(id directory.UserID) access.Entry {
	e := access.Entry{Person: access.Person{ID: id, UPN: s.of("UPN", "Alice@example.test", "ALICE", "Ärzte@example.test", "")}}
	s.times(4, func(int) {
		e.Logins = append(e.Logins, s.of("login", "alice@example.test", "alice", `example\alice`, "ärzte@example.test", "bob", string(id)))
	})
	s.times(3, func(int) { e.Person.Groups = append(e.Person.Groups, s.word("group")) })
	if rapid.Bool().Draw(s.T, "mail off") {
		n := s.note()
		e.Person.MailOff = &n
	}
	s.times(3, func(int) { e.Phones = append(e.Phones, s.phone()) })
	seen := map[access.DeviceKey]bool{}
	s.times(3, func(int) {
		d := access.Device{ID: access.DeviceID(s.id("device")), UserID: id, Key: s.key("key"), Spellings: []string{"DEV"}, Type: s.word("type"), Model: s.word("model"),
			OS: s.word("os"), UserAgent: s.word("agent"), Protocol: s.word("protocol"), Address: "192.0.2.1", FirstAt: start, LastAt: start, Effect: access.Allow,
			Bound: mdm.EnrollmentID(s.id("bound")), Proof: access.Proof(s.of("proof", "confirmed", "probable"))}
		if len(e.Phones) > 0 && rapid.Bool().Draw(s.T, "bound to a phone") {
			d.Bound = e.Phones[0].EnrollmentID
		}
		if !seen[d.Key] {
			seen[d.Key], e.Devices = true, append(e.Devices, d)
		}
	})
	s.times(3, func(int) {
		e.Personal = append(e.Personal, access.Personal{UserID: id, Key: access.DeviceKey(s.of("word's key", "", "dev1", "dev2")),
			Kind: access.PersonalKind(s.of("kind", "allow", "block", "exempt")), Note: s.note(), ExpiresAt: s.time("expires")})
	})
	return e
}

func (s some) phone() access.Phone {
	p := access.Phone{EnrollmentID: mdm.EnrollmentID(s.id("enrolment")), State: mdm.EnrollmentState(s.of("state", "configured", "authenticated", "checked_out")),
		Withheld: mdm.Withholding(s.of("withheld", "", "everything")), Platform: mdm.Apple, Ownership: mdm.Corporate, Product: s.word("product"),
		OSVersion: s.word("version"), EASKey: access.DeviceKey(s.of("EAS key", "", "dev1", "dev2", "dev9"))}
	s.times(2, func(int) { p.Certificates = append(p.Certificates, s.hash("certificate")) })
	if rapid.Bool().Draw(s.T, "has a verdict") {
		p.Verdict = compliance.Verdict{EnrollmentID: p.EnrollmentID, State: compliance.State(s.of("verdict", "compliant", "in_grace", "not_compliant")),
			Since: s.time("since"), At: s.time("at"), ValidUntil: s.time("until"), GraceUntil: s.time("grace"), Policy: s.word("policy")}
		s.times(3, func(int) {
			p.Verdict.Findings = append(p.Verdict.Findings, compliance.Finding{Rule: compliance.RuleName(s.of("rule", "mail_profile", "passcode")),
				State: compliance.RuleState(s.of("outcome", "met", "failed", "not_reported")), Fact: s.word("fact"), Expected: s.word("expected"), Since: s.time("since"), Fix: s.word("fix")})
		})
	}
	return p
}

// Whatever people come, change and go, what the Set gathers is what a reading of
// the entries themselves gives.
func TestSetSaysWhatTheSourceDoes(t *testing.T) {
	t.Parallel()
	ids := []directory.UserID{"u1", "u2", "u3", "018f2f2e-0000-7000-8000-000000000001"}
	rapid.Check(t, func(r *rapid.T) {
		s, set, truth := some{r}, &access.Set{}, map[directory.UserID]access.Entry{}
		w := access.World{Default: access.Block, Rules: []access.Rule{{ID: "r"}}}
		set.SetWorld(w)
		for range rapid.IntRange(1, 12).Draw(r, "acts") {
			id := rapid.SampledFrom(ids).Draw(r, "person")
			if rapid.IntRange(0, 3).Draw(r, "leaves") == 0 {
				set.Remove(id)
				delete(truth, id)
			} else {
				e := s.entry(id)
				set.Put(e)
				truth[id] = e
			}
			var entries []access.Entry
			devices := 0
			for _, id := range ids {
				if e, ok := truth[id]; ok {
					entries, devices = append(entries, e), devices+len(e.Devices)
				}
			}
			slices.SortFunc(entries, func(a, b access.Entry) int { return strings.Compare(string(a.Person.ID), string(b.Person.ID)) })
			if p, d := set.Size(); p != len(truth) || d != devices {
				r.Fatalf("size %d people, %d devices; want %d and %d", p, d, len(truth), devices)
			}
			for _, login := range []string{"ALICE@example.test", "alice", `EXAMPLE\alice`, "ÄRZTE@example.test", "u1", "", "mallory"} {
				for _, device := range []string{"DEV1", "0123456789ABCDEF0123456789abcdef", "dev9"} {
					c := access.Client{User: login, DeviceID: device, Certificate: s.hash("shown")}
					want, got := straightforward(entries, w, c, start), set.Inputs(c, start)
					if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
						r.Fatalf("%q %q (-want +got):\n%s", login, device, diff)
					}
				}
			}
		}
	})
}

// A verdict is renewed only where it still is the one that was asked about.
func TestSetRenew(t *testing.T) {
	t.Parallel()
	set, e := &access.Set{}, newLedger().people["u1"]
	set.Put(e)
	before := e.Phones[0].Verdict
	after := before
	after.At, after.State = before.At.Add(time.Hour), compliance.NotCompliant
	set.Renew("u9", "e1", before, after)
	set.Renew("u1", "e9", before, after)
	if got := set.Person("u1").Phones[0].Verdict; got.State != compliance.Compliant {
		t.Errorf("renewed for another: %+v", got)
	}
	set.Renew("u1", "e1", before, after)
	set.Renew("u1", "e1", before, before)
	if got := set.Person("u1").Phones[0].Verdict; got.State != compliance.NotCompliant {
		t.Errorf("got %+v, want the newest", got)
	}
	if set.Person("u2") != nil {
		t.Error("somebody who is not there")
	}
}

// Readers see a person as before or as after, and nothing in between.
func TestSetUnderWay(t *testing.T) {
	t.Parallel()
	set, e := &access.Set{}, newLedger().people["u1"]
	set.Put(e)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				found := set.Find("alice@example.test")
				if len(found) != 1 || len(found[0].Devices) != len(found[0].Phones) {
					t.Errorf("found %d people", len(found))
					return
				}
			}
		})
	}
	for i := range 2000 {
		e.Devices, e.Phones = slices.Repeat(e.Devices[:1], i%5+1), slices.Repeat(e.Phones[:1], i%5+1)
		e.Devices[0].UserAgent = fmt.Sprint("agent ", i) // a new word each time
		set.Put(e)
	}
	close(done)
	all.Wait()
}

// crowd is n people with four logins, a device and an enrolled phone each.
func crowd(n int, yield func(access.Entry)) {
	for i := range n {
		id := func(kind byte) string {
			return uuid.NewSHA1(uuid.Nil, []byte{kind, byte(i), byte(i >> 8), byte(i >> 16)}).String()
		}
		user, key := directory.UserID(id(1)), access.DeviceKey(strings.ReplaceAll(id(2), "-", ""))
		hash := strings.ReplaceAll(id(3)+id(4), "-", "")
		yield(access.Entry{
			Person: access.Person{ID: user, UPN: fmt.Sprintf("u%06d@corp.example.test", i), Groups: []string{"everyone", fmt.Sprint("department ", i%40)}},
			Logins: []string{fmt.Sprintf("u%06d@corp.example.test", i), fmt.Sprintf("given.family.%d@example.test", i), fmt.Sprintf("u%06d", i), fmt.Sprintf(`corp\u%06d`, i)},
			Devices: []access.Device{{ID: access.DeviceID(id(5)), UserID: user, Key: key, Spellings: []string{strings.ToUpper(string(key))}, Type: "iPhone",
				UserAgent: fmt.Sprintf("Apple-iPhone15C%d/2301.%d", i%9, i%90), Protocol: "16.1", Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), FirstAt: start, LastAt: start}},
			Phones: []access.Phone{{EnrollmentID: mdm.EnrollmentID(id(6)), State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: fmt.Sprintf("iPhone%d,%d", 12+i%6, i%5),
				OSVersion: fmt.Sprintf("26.%d", i%8), EASKey: key, Certificates: []string{hash},
				Verdict: compliance.Verdict{EnrollmentID: mdm.EnrollmentID(id(6)), State: compliance.Compliant, Since: start.Add(-time.Duration(i) * time.Second), At: start.Add(time.Duration(i) * time.Microsecond),
					ValidUntil: start.Add(24*time.Hour + time.Duration(i)*time.Millisecond), Policy: "standard@3", Findings: []compliance.Finding{
						{Rule: compliance.RuleMailProfile, State: compliance.Met, Fact: "the mail profile is installed", Since: start},
						{Rule: compliance.RulePasscode, State: compliance.Met, Fact: "a passcode is set", Since: start}}}}},
		})
	}
}

// BenchmarkSetBytes is what a device costs in memory among 100,000.
func BenchmarkSetBytes(b *testing.B) {
	const people = 100_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		set := &access.Set{}
		crowd(people, set.Put)
		b.ReportMetric(float64(heap()-before)/people, "B/device")
		if n, _ := set.Size(); n != people {
			b.Fatalf("%d people", n)
		}
		runtime.KeepAlive(set)
	}
}

// BenchmarkDecide is one decision among 100,000 devices, without HTTP.
func BenchmarkDecide(b *testing.B) {
	ledger := newLedger()
	crowd(100_000, func(e access.Entry) { ledger.people[e.Person.ID] = e })
	e := ledger.loaded(b)
	c := access.Client{User: "u000777@corp.example.test", DeviceType: "iPhone", UserAgent: "Apple-iPhone15C3/2301.57"}
	crowd(778, func(e access.Entry) { c.DeviceID = e.Devices[0].Spellings[0] })
	if d := decide(b, e, c); d.Effect != access.Allow {
		b.Fatalf("%+v", d)
	}
	b.ReportAllocs()
	for b.Loop() {
		decide(b, e, c)
	}
}
