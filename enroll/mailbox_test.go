package enroll

import (
	"strings"
	"testing"
	"time"

	"sallyport/mdm"
)

func came(id string, days int) MailClient {
	return MailClient{ID: "01993b1e-" + id, DeviceID: id, Type: "iPad", Model: "iPad13,1", LastAt: noon.AddDate(0, 0, -days)}
}

// TestShare: what has a place in a mailbox, and which device is to go first.
func TestShare(t *testing.T) {
	t.Parallel()
	blocked, unseen, phone, waiting := came("BLOCKED", 400), came("UNSEEN", 0), came("PHONE", 300), came("WAITING", 0)
	blocked.ShutOut = true
	unseen.LastAt = time.Time{}
	phone.Enrollment, phone.HasMail = "e1", true
	waiting.LastAt, waiting.Enrollment = time.Time{}, "e2"
	guessed := came("GUESSED", 200)
	guessed.Enrollment, guessed.Guessed = "e3", true
	tests := []struct {
		name   string
		list   []MailClient
		beside mdm.EnrollmentID
		used   int
		spare  string
	}{
		{name: "nobody"},
		{name: "never let in, never seen, waiting", list: []MailClient{blocked, unseen, waiting}},
		{name: "the oldest goes first", list: []MailClient{came("A", 1), came("B", 100), came("C", 10)}, used: 3, spare: "B"},
		{name: "an enrolled phone goes last", list: []MailClient{phone, came("A", 1)}, used: 2, spare: "A"},
		{name: "a phone that never came counts", list: []MailClient{{DeviceID: "P", Enrollment: "e4", HasMail: true}, phone}, used: 2, spare: "P"},
		{name: "a guess makes no phone", list: []MailClient{guessed, came("A", 1)}, used: 2, spare: "GUESSED"},
		{name: "beside itself", list: []MailClient{phone, came("A", 1)}, beside: "e1", used: 1, spare: "A"},
	}
	for _, tt := range tests {
		used, spare := share(tt.list, tt.beside)
		got := ""
		if spare != nil {
			got = spare.DeviceID
		}
		if used != tt.used || got != tt.spare {
			t.Errorf("%s: %d, %q; want %d, %q", tt.name, used, got, tt.used, tt.spare)
		}
	}
}

func TestMailboxWarning(t *testing.T) {
	t.Parallel()
	old, phone := came("OLD", 400), MailClient{DeviceID: "P", Name: "Alice's iPhone", Type: "iPhone", Enrollment: "e1", Device: "d1"}
	tests := []struct {
		used, limit int
		spare       *MailClient
		want        string
	}{
		{7, 10, &old, ""},
		{100, 0, &old, ""},
		{8, 10, &old, "8 devices, and its mail server takes 10: soon a new phone's mail profile has to wait. Not used for longest: iPad iPad13,1, DeviceId OLD, last seen 2025-"},
		{10, 10, &old, "waits. Not used for longest: iPad iPad13,1, DeviceId OLD, last seen 2025-"},
		{10, 10, &old, "sallyport access device remove 01993b1e-OLD"},
		{11, 10, &phone, "Alice's iPhone (iPhone), DeviceId P, never seen. End its management: sallyport device retire d1"},
		{3, 3, nil, "Raise mailbox_device_limit"},
		{1, 1, nil, "waits"},
	}
	for _, tt := range tests {
		got := Mailbox{Limit: tt.limit, Used: tt.used, Spare: tt.spare}.Warning()
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%d of %d: %q", tt.used, tt.limit, got)
		}
	}
}

// full leaves the mailbox of alice no place for another device.
func full(t *testing.T) *house {
	h := newHouse(t)
	h.enroll.MailboxLimit = 2
	h.seen(h.alice.ID, came("NEW", 1))
	h.seen(h.alice.ID, came("OLD", 400))
	return h
}

// TestMailWaits: at the limit a new phone gets everything but its mail profile, its
// verdict and its page say why and name the device to remove, and it goes on at its
// next contact once that is gone.
func TestMailWaits(t *testing.T) {
	t.Parallel()
	h := full(t)
	p := h.newPhone(t, h.alice.UPN, strings.ToLower(udidA), 0)
	p.awaiting = true // it has to get out of its set-up assistant all the same
	p.join(t)
	asked := p.connect(t)
	if strings.Contains(strings.Join(asked, " "), installProfile) || !strings.Contains(strings.Join(asked, " "), deviceConfigured) {
		t.Fatalf("asked %v", asked)
	}
	e := p.enrollment(t)
	if e.State != mdm.Enrolled {
		t.Fatalf("the phone is %s without its mail", e.State)
	}
	expected, _, err := h.enroll.Expected(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if w := expected.Mail[0]; w.Waits != "the mailbox has 2 devices, and its mail server takes 2" ||
		!strings.HasSuffix(w.Fix, "Not used for longest: iPad iPad13,1, last seen "+noon.AddDate(0, 0, -400).Format(time.DateOnly)+".") {
		t.Errorf("got %+v", w)
	}
	settings, err := h.enroll.MailSettings(t.Context(), e.DeviceID)
	if err != nil {
		t.Fatal(err)
	}
	if settings.Profiles[0].State != MailWaiting || !strings.Contains(strings.Join(settings.Warnings, " "), "access device remove 01993b1e-OLD") {
		t.Errorf("got %s, %q", settings.Profiles[0].State, settings.Warnings)
	}
	if d, err := h.enroll.Deployments(t.Context()); err != nil || d[0].Waiting != 1 || d[0].Pending != 0 {
		t.Errorf("got %+v, %v", d, err)
	}

	h.forgotten(h.alice.ID, "OLD")
	p.connect(t)
	if len(p.held) != 1 || p.enrollment(t).State != mdm.Configured {
		t.Errorf("holds %d profiles, is %s", len(p.held), p.enrollment(t).State)
	}
}

func TestMailGoesOnWithAHigherLimit(t *testing.T) {
	t.Parallel()
	h := full(t)
	p := h.newPhone(t, h.alice.UPN, strings.ToLower(udidA), 0)
	p.join(t)
	p.connect(t)
	for limit, want := range map[int]int{3: 1, 0: 1} {
		h.enroll.MailboxLimit = limit
		if p.connect(t); len(p.held) != want {
			t.Errorf("limit %d: the phone holds %d profiles", limit, len(p.held))
		}
	}
}

// TestMailStays: a phone that has its profile counts as itself: nothing is held back
// from it, and nothing is taken away, whatever the limit becomes.
func TestMailStays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.MailboxLimit = 1
	p := h.newPhone(t, h.alice.UPN, strings.ToLower(udidA), 0)
	p.join(t)
	p.connect(t)
	if len(p.held) != 1 {
		t.Fatal("the first phone waits")
	}
	h.seen(h.alice.ID, came("A", 1))
	h.seen(h.alice.ID, came("B", 1))
	h.revisions[0].Spec.Accounts[0].Host, h.revisions[0].Number = "mail2.example.test", 2
	asked := strings.Join(p.connect(t), " ")
	if strings.Contains(asked, removeProfile) || !strings.Contains(asked, installProfile) || len(p.held) != 1 {
		t.Errorf("asked %s, holds %d", asked, len(p.held))
	}
	h.revisions[0].TemplateID = "01993b1e-0000-7000-8000-000000000002" // another template takes its place
	p.connect(t)
	if p.connect(t); len(p.held) != 1 {
		t.Errorf("holds %d", len(p.held))
	}
}

// TestMailOfWhoCameBefore: its mail server knows that phone.
func TestMailOfWhoCameBefore(t *testing.T) {
	t.Parallel()
	h := full(t)
	h.seen(h.alice.ID, MailClient{ID: "x", DeviceID: "EAS" + strings.ToLower(udidA), LastAt: noon})
	p := h.newPhone(t, h.alice.UPN, strings.ToLower(udidA), 0)
	p.join(t)
	if p.connect(t); len(p.held) != 1 {
		t.Errorf("holds %d", len(p.held))
	}
}

func TestFullMailboxes(t *testing.T) {
	t.Parallel()
	h := full(t)
	h.seen(h.bob.ID, came("BOB", 1))
	list, next, err := h.enroll.FullMailboxes(t.Context(), "", 0)
	if err != nil || next != "" || len(list) != 1 || list[0].User.UPN != h.alice.UPN || !list[0].Full() {
		t.Errorf("got %+v, %q, %v", list, next, err)
	}
	if _, next, _ := h.enroll.FullMailboxes(t.Context(), "", 1); next != h.alice.ID {
		t.Errorf("next page %q", next)
	}
	if _, _, err := h.enroll.FullMailboxes(t.Context(), "", 1001); err == nil {
		t.Error("took a limit of 1001")
	}
	h.enroll.MailboxLimit = 0
	if list, _, err := h.enroll.FullMailboxes(t.Context(), "", 0); err != nil || len(list) != 0 {
		t.Errorf("without a limit: %v, %v", list, err)
	}
	if m, err := h.enroll.Mailbox(t.Context(), h.alice.UPN); err != nil || m.Used != 2 || m.Near() || m.Full() {
		t.Errorf("got %+v, %v", m, err)
	}
}
