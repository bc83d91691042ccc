package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/notify"
	"sallyport/internal/web"
)

const (
	noticeBatch = 200 // rows of the feed, or mails, that are done at once
	// noticeSettle is how long a word must have stood before anybody hears of it: a
	// phone that enrols is quarantined for the seconds until it has reported.
	noticeSettle = 30 * time.Second
	// noticeGap is the least time between two mails about one device.
	noticeGap = time.Hour
	// noticeAhead is how far ahead a notice may be due; what lies further is of a
	// clock that was set right since.
	noticeAhead = 2 * noticeGap
)

// strangerMails is how many mails a day a mailbox gets about mail clients that are on
// no enrolled phone and were never let in. Anybody can make such up, without a
// password; the digest and the list of devices name them all.
const strangerMails = 5

// allowance counts them by mailbox. Only one Step runs at a time.
type allowance struct {
	began time.Time // of the day
	told  map[directory.UserID]int
}

// take reports whether one more may be sent.
func (a *allowance) take(id directory.UserID, now time.Time) bool {
	if a.told == nil || now.Sub(a.began) >= 24*time.Hour || now.Before(a.began) {
		a.began, a.told = now, map[directory.UserID]int{}
	}
	a.told[id]++
	return a.told[id] <= strangerMails
}

// NoticeMove is what a row of the feed means for the notice of its device.
type NoticeMove string

const (
	NoticeBegin  NoticeMove = "begin"  // it is to be told, unless it ends before
	NoticeTurn   NoticeMove = "turn"   // what waits is now about this row
	NoticeEnd    NoticeMove = "end"    // nothing is to be told any more
	NoticeForget NoticeMove = "forget" // nor is the device there
)

// Noted is a row of the feed with its meaning.
type Noted struct {
	Move   NoticeMove
	Change Change
	DueAt  time.Time
	Line   DigestLine // of a move that begins or turns
}

// WaitingNotice is one that is due.
type WaitingNotice struct {
	Change Change
	DueAt  time.Time
}

// DigestLine is one line of the next mail to admins.
type DigestLine struct {
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
	Effect Effect    `json:"effect,omitempty"` // of a mail client; empty: of a phone that does not comply
	User   string    `json:"user"`
	Device DeviceID  `json:"device,omitempty"`
	Name   string    `json:"name"`
	Fact   string    `json:"fact"`
}

// DeviceLine is the Key of a device's line: it has one, about the newest.
func DeviceLine(id DeviceID) string { return "device/" + string(id) }

// Digest is what the next mail to admins would be about.
type Digest struct {
	Lines       []DigestLine // the oldest
	Waiting     int
	Quarantined int       // of all that wait
	Oldest      time.Time // since when one waits
	SentAt      time.Time // when the last was sent
}

// NoticeStore keeps what is still to be told. internal/store implements it.
type NoticeStore interface {
	// NoticeCursor is up to where the feed was read; false where nobody began.
	NoticeCursor(ctx context.Context) (seq int64, begun bool, err error)
	// BeginNotices sets the cursor and drops all that waits, mails too: they may be out.
	BeginNotices(ctx context.Context, seq int64) error
	// ForgetNotices takes the cursor away and drops all that waits.
	ForgetNotices(ctx context.Context) error
	// NoteChanges moves the cursor, with what the rows mean. It does nothing when the
	// cursor does not stand at from. A notice that begins is due noticeGap after the
	// last mail about its device at the earliest, as gap says.
	NoteChanges(ctx context.Context, from, to int64, list []Noted, gap time.Duration) error
	// DueNotices returns those to be told now, the longest due first: also those due after ahead.
	DueNotices(ctx context.Context, now, ahead time.Time, limit int) ([]WaitingNotice, error)
	// NoticeTold ends the waiting of a notice with the mail that tells it; nil: there
	// was nothing to tell. It does nothing when it is about another row by now.
	NoticeTold(ctx context.Context, w WaitingNotice, m *notify.Mail, now time.Time) error
	// AddLine puts a line on record; a Key that is there, sent or not, stays as it is.
	AddLine(ctx context.Context, l DigestLine) error
	// Digest returns at most limit lines that wait since before that time.
	Digest(ctx context.Context, before time.Time, limit int) (Digest, error)
	// DigestSent notes that all lines that wait since before that time are in these mails.
	DigestSent(ctx context.Context, before, now time.Time, mails []notify.Mail) error
	// Enqueue takes mails: notify.ErrFull.
	Enqueue(ctx context.Context, list []notify.Mail) error
}

// Notices turns changes of decisions into mails. It has a cursor of its own in
// the feed, and begins at the newest row: nobody hears of what was before.
type Notices struct {
	Store   NoticeStore
	Changes interface {
		Changes(ctx context.Context, after int64, limit int) ([]Change, error)
		Snapshot(ctx context.Context, after DeviceID, limit int) ([]Change, int64, error)
	}
	Devices interface {
		Device(ctx context.Context, id DeviceID) (DeviceRow, error)
	}
	Source interface {
		World(ctx context.Context) (World, error)
		EntriesOf(ctx context.Context, ids []directory.UserID) ([]Entry, error)
	}
	Users interface {
		UserByID(ctx context.Context, id directory.UserID) (directory.User, error)
	}
	Links        Links
	Pages        *web.Pages
	Organization string
	Admins       []string    // addresses for the digest; none: no digest
	Ready        func() bool // whether everybody on record was looked at since the start
	Now          func() time.Time
	Log          *slog.Logger

	strangers allowance
}

// Rounded reports whether everybody on record was looked at since the start: what
// the feed tells from then on is news.
func (p *Publisher) Rounded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun && p.round == nil
}

// Step takes up what the feed tells, then mails what is due.
func (n *Notices) Step(ctx context.Context) (more bool, err error) {
	more, err = n.follow(ctx)
	if err != nil {
		return false, fmt.Errorf("follow decisions: %w", err)
	}
	if err = n.tell(ctx); err == nil {
		err = n.digest(ctx)
	}
	if errors.Is(err, notify.ErrFull) { // what is left is told when there is room again
		return more, nil
	}
	return more && err == nil, err
}

// follow reads rows of the feed.
func (n *Notices) follow(ctx context.Context) (more bool, err error) {
	from, begun, err := n.Store.NoticeCursor(ctx)
	if err != nil {
		return false, err
	}
	if !begun {
		if !n.Ready() { // what an upgrade makes known is no news
			return false, nil
		}
		return false, n.begin(ctx)
	}
	rows, err := n.Changes.Changes(ctx, from, noticeBatch)
	if errors.Is(err, ErrGone) {
		return false, n.begin(ctx)
	}
	if err != nil || len(rows) == 0 {
		return false, err
	}
	noted := make([]Noted, 0, len(rows))
	for _, c := range rows {
		noted = append(noted, n.noted(c))
	}
	return len(rows) == noticeBatch, n.Store.NoteChanges(ctx, from, rows[len(rows)-1].Seq, noted, noticeGap)
}

func (n *Notices) begin(ctx context.Context) error {
	_, newest, err := n.Changes.Snapshot(ctx, "", 1)
	if err != nil {
		return err
	}
	return n.Store.BeginNotices(ctx, newest)
}

// noted says what a row means. Whoever becomes blocked or quarantined is told, also
// who was the other one before: an owner who waits must hear of a no.
func (n *Notices) noted(c Change) Noted {
	one := Noted{Change: c, DueAt: c.At.Add(noticeSettle)}
	switch {
	case c.Removed:
		one.Move = NoticeForget
		return one
	case c.Decision.Effect == Allow:
		one.Move = NoticeEnd
		return one
	case c.Before != c.Decision.Effect:
		one.Move = NoticeBegin
	default:
		one.Move = NoticeTurn
	}
	one.Line = DigestLine{Key: DeviceLine(c.DeviceID), At: c.At, Effect: c.Decision.Effect, User: c.User, Device: c.DeviceID, Name: string(c.Key), Fact: firstFact(c.Decision.Reasons)}
	if len(c.Spellings) > 0 {
		one.Line.Name = c.Spellings[0]
	}
	return one
}

// firstFact is the first fact that somebody can do something about.
func firstFact(list []Reason) string {
	for _, r := range list {
		if r.Fix != "" {
			return r.Fact
		}
	}
	if len(list) > 0 {
		return list[0].Fact
	}
	return ""
}

func (n *Notices) now() time.Time { return n.Now().UTC().Truncate(time.Microsecond) }
