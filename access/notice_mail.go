package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/notify"
	"sallyport/internal/web"
)

var _ compliance.Notifier = (*Notices)(nil)

// tell mails the owners of devices whose word has stood long enough.
func (n *Notices) tell(ctx context.Context) error {
	now := n.now()
	due, err := n.Store.DueNotices(ctx, now, now.Add(noticeAhead), noticeBatch)
	if err != nil || len(due) == 0 {
		return err
	}
	world, err := n.Source.World(ctx)
	if err != nil {
		return err
	}
	for _, w := range due {
		m, err := n.mail(ctx, w.Change, world)
		if err != nil {
			return fmt.Errorf("write mail about device %s: %w", w.Change.DeviceID, err)
		}
		if err := n.Store.NoticeTold(ctx, w, m, now); err != nil {
			return err
		}
	}
	return nil
}

// mail says how the device stands now, which may be something else than the row
// that it is about said; nil when there is nothing to say any more.
func (n *Notices) mail(ctx context.Context, c Change, world World) (*notify.Mail, error) {
	row, err := n.Devices.Device(ctx, c.DeviceID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	user, err := n.Users.UserByID(ctx, row.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entry, ok, err := n.entry(ctx, row.UserID)
	if err != nil || !ok {
		return nil, err
	}
	in := entry.Inputs(n.now(), row.Client(), row.Device, world)
	w := walk{in: &in}
	d := w.run()
	if d.Effect == Allow || stranger(&in, &row) && !n.strangers.take(user.ID, n.now()) {
		return nil, nil
	}
	subject, text, locales := n.Pages.Mail("", web.Mail{
		Kind: string(d.Effect), Organization: n.Organization, Own: w.ownText(), Device: called(row), Reasons: reasonsOf(d.Reasons), Link: n.Links.Why(row.ID),
	})
	return &notify.Mail{Key: "access/" + string(c.DeviceID) + "/" + strconv.FormatInt(c.Seq, 10), To: user.Email, Subject: subject, Text: text, Locale: locales}, nil
}

// stranger reports whether nothing but requests that were refused tells of the device.
func stranger(in *Inputs, row *DeviceRow) bool {
	return row.SyncAt.IsZero() && !slices.ContainsFunc(in.Phones, func(p Phone) bool { return p.Proof.Counts() })
}

func (n *Notices) entry(ctx context.Context, id directory.UserID) (Entry, bool, error) {
	list, err := n.Source.EntriesOf(ctx, []directory.UserID{id})
	if err != nil || len(list) == 0 {
		return Entry{}, false, err
	}
	return list[0], true, nil
}

// ownText is what the admin wrote for this case: of the first enforced policy
// that made the decision what it is, by conditions that failed or are open.
func (w *walk) ownText() string {
	want := failed
	switch w.step {
	case StepConditionsFailed:
	case StepDefault:
		want = open
	default:
		return ""
	}
	for i := range w.in.World.Policies {
		p := &w.in.World.Policies[i]
		if w.aim(p) != enforces || w.policy(p) != want {
			continue
		}
		text := p.Spec.BlockText
		if w.effect == Quarantine {
			text = p.Spec.QuarantineText
		}
		if text != "" {
			return text
		}
	}
	return ""
}

// called is the device as its owner may know it.
func called(row DeviceRow) string {
	for _, name := range []string{row.Model, row.Type} {
		if name != "" {
			return name
		}
	}
	return ""
}

func reasonsOf(list []Reason) []web.WhyReason {
	var out []web.WhyReason
	for _, r := range list {
		out = append(out, web.WhyReason{Rule: r.Rule, Fact: r.Fact, Fix: r.Fix, Since: r.Since})
	}
	return out
}

// Notify implements compliance.Notifier: a mail to the owner of the phone, or a
// line of the next digest.
func (n *Notices) Notify(ctx context.Context, c compliance.Notice) error {
	if c.Kind == compliance.NoticeAdmins {
		if len(n.Admins) == 0 {
			return nil
		}
		return n.Store.AddLine(ctx, lineOf(c))
	}
	user, err := n.Users.UserByID(ctx, c.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	entry, _, err := n.entry(ctx, c.UserID)
	if err != nil {
		return err
	}
	m := web.Mail{Kind: "comply", Organization: n.Organization, Until: c.BlockAt, End: c.RetireAt}
	for _, f := range c.Findings {
		m.Reasons = append(m.Reasons, web.WhyReason{Rule: string(f.Rule), Fact: f.Fact, Fix: f.Fix, Since: f.Since})
	}
	for _, d := range entry.Devices {
		for _, p := range entry.bound(d, Client{}) {
			if p.EnrollmentID == c.EnrollmentID && p.Proof.Counts() {
				m.Link, m.Device = n.Links.Why(d.ID), called(DeviceRow{Device: d})
			}
		}
	}
	subject, text, locales := n.Pages.Mail("", m)
	return n.Store.Enqueue(ctx, []notify.Mail{{Key: "compliance/" + c.Key, To: user.Email, Subject: subject, Text: text, Locale: locales}})
}

func lineOf(c compliance.Notice) DigestLine {
	l := DigestLine{Key: "compliance/" + c.Key, At: c.At, User: c.UPN, Name: string(c.EnrollmentID)}
	for _, f := range c.Findings {
		l.Fact = f.Fact
		break
	}
	return l
}
