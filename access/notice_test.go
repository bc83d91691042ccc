package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/notify"
	"sallyport/internal/web"
	"sallyport/mdm"
)

// TestOwnText: the words are those of the policy that made the decision what it is.
func TestOwnText(t *testing.T) {
	t.Parallel()
	policy := func(name string, mode Mode, r Requirement, starts time.Time) Policy {
		return Policy{Name: name, Spec: Spec{Name: name, Assign: directory.Audience{Everyone: true}, Mode: mode, StartsAt: starts, Require: []Requirement{r},
			BlockText: name + " blocks", QuarantineText: name + " quarantines"}}
	}
	world := []Policy{policy("reports", ReportOnly, RequireCompliant, time.Time{}), policy("later", Enforce, RequireCompliant, asked.Add(time.Hour)),
		policy("enrolled", Enforce, RequireEnrolled, time.Time{}), policy("compliant", Enforce, RequireCompliant, time.Time{})}
	tests := []struct {
		name   string
		change func(*Inputs)
		want   string
	}{
		{"failed", func(in *Inputs) { arm(in, StepConditionsFailed) }, "compliant blocks"},
		{"open", func(*Inputs) {}, "enrolled quarantines"},
		{"one passed, one open", func(in *Inputs) { in.Phones = []Phone{enrolled("e1", compliance.NotEvaluated)} }, "compliant quarantines"},
		{"the default blocks", func(in *Inputs) { in.World.Default = Block }, "enrolled blocks"},
		{"an admin blocks", func(in *Inputs) { arm(in, StepPersonalBlock) }, ""},
		{"a rule quarantines", func(in *Inputs) { arm(in, StepRuleQuarantine) }, ""},
		{"without words", func(in *Inputs) {
			for i := range in.World.Policies {
				in.World.Policies[i].Spec.QuarantineText = ""
			}
		}, ""},
	}
	for _, c := range tests {
		in := question()
		in.World.Policies = append([]Policy(nil), world...)
		c.change(in)
		w := walk{in: in}
		w.run()
		if got := w.ownText(); got != c.want {
			t.Errorf("%s (%s by %s): %q, want %q", c.name, w.effect, w.step, got, c.want)
		}
	}
}

func TestNoticeMoves(t *testing.T) {
	t.Parallel()
	n := &Notices{Now: func() time.Time { return asked }}
	for _, c := range []struct {
		before, after Effect
		removed       bool
		want          NoticeMove
	}{
		{"", Block, false, NoticeBegin}, {"", Quarantine, false, NoticeBegin}, {Allow, Block, false, NoticeBegin}, {Allow, Quarantine, false, NoticeBegin},
		{Block, Quarantine, false, NoticeBegin}, {Quarantine, Block, false, NoticeBegin}, {Block, Block, false, NoticeTurn},
		{Block, Allow, false, NoticeEnd}, {"", Allow, false, NoticeEnd}, {Block, Block, true, NoticeForget},
	} {
		got := n.noted(Change{At: asked, DeviceID: "d", Before: c.before, Decision: Decision{Effect: c.after}, Removed: c.removed})
		if got.Move != c.want {
			t.Errorf("%q -> %q: %s, want %s", c.before, c.after, got.Move, c.want)
		}
	}
}

func TestDigestCommand(t *testing.T) {
	t.Parallel()
	n := &Notices{Organization: "Example"}
	d := n.digestOf(Digest{Waiting: 5, Lines: []DigestLine{{Effect: Quarantine, Device: "d1"}, {Effect: Block, Device: "d2"}, {User: "bob"}, {Effect: Quarantine, Device: "d3"}}})
	var all []string
	for _, l := range d.Lines {
		all = append(all, l.Command)
	}
	want := "sallyport access device approve d1 --reason TEXT|sallyport access device show d2|sallyport device list --user bob|sallyport access device approve d3 --reason TEXT"
	if got := strings.Join(all, "|"); got != want || d.More != 1 || d.Approve != "sallyport access device approve d1 d3 --reason TEXT" {
		t.Errorf("%s, %d more, %s", got, d.More, d.Approve)
	}
}

// board is a store of notices with one person's devices, all of them quarantined.
type board struct {
	NoticeStore
	due   []WaitingNotice
	entry Entry
	mails int
}

func (b *board) DueNotices(context.Context, time.Time, time.Time, int) ([]WaitingNotice, error) {
	return b.due, nil
}

func (b *board) NoticeTold(_ context.Context, _ WaitingNotice, m *notify.Mail, _ time.Time) error {
	if m != nil {
		b.mails++
	}
	return nil
}

func (b *board) Device(_ context.Context, id DeviceID) (DeviceRow, error) {
	i := slices.IndexFunc(b.entry.Devices, func(d Device) bool { return d.ID == id })
	return DeviceRow{Device: b.entry.Devices[i]}, nil
}

func (b *board) World(context.Context) (World, error) { return World{Default: Quarantine}, nil }

func (b *board) EntriesOf(context.Context, []directory.UserID) ([]Entry, error) {
	return []Entry{b.entry}, nil
}

func (b *board) UserByID(_ context.Context, id directory.UserID) (directory.User, error) {
	return directory.User{ID: id, Email: "alice@example.test"}, nil
}

// Whoever knows an address can make up DeviceIds without a password: that must not
// fill the mailbox with mails, nor keep the owner from hearing of a phone that is known.
func TestMailsAboutStrangersAreBounded(t *testing.T) {
	t.Parallel()
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	links := Links{Base: "https://mdm.example.test", MAC: func(string, []byte) []byte { return slices.Repeat([]byte{1}, 32) }}
	b := &board{entry: Entry{Person: Person{ID: "u1", UPN: "alice@example.test"}}}
	add := func(d Device) {
		d.UserID = "u1"
		b.entry.Devices = append(b.entry.Devices, d)
		b.due = append(b.due, WaitingNotice{Change: Change{DeviceID: d.ID, UserID: "u1"}})
	}
	for i := range 100 {
		add(Device{ID: DeviceID(fmt.Sprintf("made up %d", i)), Key: DeviceKey(fmt.Sprintf("x%d", i))})
	}
	now := asked
	n := &Notices{Store: b, Devices: b, Source: b, Users: b, Links: links, Pages: pages, Now: func() time.Time { return now }}
	tell := func(why string, want int) {
		t.Helper()
		b.mails = 0
		if err := n.tell(t.Context()); err != nil || b.mails != want {
			t.Errorf("%s: %d mails, %v, want %d", why, b.mails, err, want)
		}
	}
	tell("a hundred strangers", strangerMails)
	now = now.Add(23 * time.Hour)
	tell("the same day", 0)
	b.due = nil
	add(Device{ID: "known", Key: "known", SyncAt: asked})
	b.entry.Phones = []Phone{{EnrollmentID: "e1", State: mdm.Configured, EASKey: "mine"}}
	add(Device{ID: "mine", Key: "mine"})
	tell("one that was let in before, and an enrolled one", 2)
	b.due = []WaitingNotice{{Change: Change{DeviceID: "made up 7", UserID: "u1"}}}
	now = now.Add(time.Hour)
	tell("the next day", 1)
}
