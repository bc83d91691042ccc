package access

import (
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
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
