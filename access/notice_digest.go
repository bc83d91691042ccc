package access

import (
	"context"
	"strings"
	"time"

	"sallyport/internal/notify"
	"sallyport/internal/web"
)

const (
	digestEvery = 24 * time.Hour
	digestLines = 200 // what a person reads; the rest is counted
)

// approve and approveWhy are the command that lets devices in.
const (
	approve    = "sallyport access device approve "
	approveWhy = " --reason TEXT"
)

// digest mails admins what is new: at once where the day before was quiet and a
// device waits for them, otherwise a day after the last mail, and after the first
// line that waits.
func (n *Notices) digest(ctx context.Context) error {
	if len(n.Admins) == 0 {
		return nil
	}
	now := n.now()
	before := now.Add(-noticeSettle)
	d, err := n.Store.Digest(ctx, before, digestLines)
	if err != nil || d.Waiting == 0 || !d.due(now) {
		return err
	}
	subject, text, locales := n.Pages.Digest("", n.digestOf(d))
	var mails []notify.Mail
	for _, admin := range n.Admins {
		mails = append(mails, notify.Mail{Key: "digest/" + now.Format(time.RFC3339Nano) + "/" + admin, To: admin, Subject: subject, Text: text, Locale: locales})
	}
	return n.Store.DigestSent(ctx, before, now, mails)
}

func (d *Digest) due(now time.Time) bool {
	quiet := over(d.SentAt, now)
	return quiet && (d.Quarantined > 0 || over(d.Oldest, now))
}

// over reports whether a day has passed since at, or at lies ahead: then the
// clock was set back.
func over(at, now time.Time) bool {
	since := now.Sub(at)
	return since >= digestEvery || since < 0
}

func (n *Notices) digestOf(d Digest) web.Digest {
	out := web.Digest{Organization: n.Organization, More: d.Waiting - len(d.Lines)}
	var waiting []string
	for _, l := range d.Lines {
		one := web.DigestLine{At: l.At, Effect: string(l.Effect), User: l.User, Name: l.Name, Fact: l.Fact}
		switch l.Effect {
		case "":
			one.Command = "sallyport device list --user " + l.User
		case Quarantine:
			one.Command = approve + string(l.Device) + approveWhy
			waiting = append(waiting, string(l.Device))
		default:
			one.Command = "sallyport access device show " + string(l.Device)
		}
		out.Lines = append(out.Lines, one)
	}
	if len(waiting) > 1 {
		out.Approve = approve + strings.Join(waiting, " ") + approveWhy
	}
	return out
}
