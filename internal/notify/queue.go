package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/internal/logkey"
)

// ErrFull says that so many mails wait that no more are taken now.
var ErrFull = errors.New("too many mails wait")

// MaxWaiting bounds the mails that wait. Who is refused by ErrFull keeps what it
// has to say, and comes again.
const MaxWaiting = 1000

// State is what became of a mail.
type State string

const (
	Waiting State = "waiting"
	Sent    State = "sent"    // a server took it
	Denied  State = "refused" // a server will never take it
	Expired State = "expired" // no server took it in three days
	Dropped State = "dropped" // of a database that was restored: it may be out already
)

// Queued is a mail on record.
type Queued struct {
	Mail
	Attempts  int
	CreatedAt time.Time
}

// Status is how the queue stands.
type Status struct {
	Waiting int       `json:"waiting"`
	Oldest  time.Time `json:"oldest,omitzero"` // since when the oldest waits
	Tried   int       `json:"tried"`           // of those that wait: refused for now, or the server was out of reach
	Sent    int       `json:"sent"`            // in the last 30 days, as below
	Lost    int       `json:"lost"`            // refused or expired
	Reply   string    `json:"reply,omitempty"` // why the newest of those that were tried or lost did not go
	ReplyAt time.Time `json:"reply_at,omitzero"`
}

// Store keeps mails until they are sent. internal/store implements it. A mail
// whose Key is on record is never taken a second time, whatever became of it.
type Store interface {
	// Enqueue takes all or none: ErrFull where MaxWaiting would be passed.
	Enqueue(ctx context.Context, list []Mail) error
	// DueMails returns those to be tried now, the longest due first: also those
	// whose time lies more than a day ahead, as a clock that was set right leaves it.
	DueMails(ctx context.Context, now time.Time, limit int) ([]Queued, error)
	// MailDone ends the waiting and forgets the text.
	MailDone(ctx context.Context, key string, state State, reply string, at time.Time) error
	// MailAgain counts a try and says when the next is due.
	MailAgain(ctx context.Context, key, reply string, at, next time.Time) error
	MailStatus(ctx context.Context) (Status, error)
	// PruneMails forgets what was done before that time, some at a time.
	PruneMails(ctx context.Context, before time.Time) (int64, error)
}

const (
	batch     = 20
	giveUp    = 3 * 24 * time.Hour
	leastTry  = 5 // a clock that leaps ahead gives up no mail
	longest   = time.Hour
	keepFor   = 30 * 24 * time.Hour
	pruneSpan = time.Hour
)

// Carrier hands over one mail. *Sender is one.
type Carrier interface {
	Send(ctx context.Context, m Mail) (reply string, err error)
}

// Postman sends what waits. At least once: where a server has taken a mail and we
// ended before we noted so, it goes once more, with the same Message-ID.
type Postman struct {
	Store   Store
	Carrier Carrier
	Now     func() time.Time
	Log     *slog.Logger

	pruned time.Time
}

// Step tries some mails. The error is of a server that cannot be used at all: the
// mails wait, and none of them is the cause.
func (p *Postman) Step(ctx context.Context) (more bool, err error) {
	if err := p.prune(ctx); err != nil {
		return false, err
	}
	due, err := p.Store.DueMails(ctx, p.now(), batch)
	if err != nil {
		return false, err
	}
	for _, m := range due {
		reply, sendErr := p.Carrier.Send(ctx, m.Mail)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err := p.note(ctx, m, reply, sendErr); err != nil {
			return false, err
		}
		if sendErr != nil && Code(sendErr) == 0 {
			return false, sendErr
		}
	}
	return len(due) == batch, nil
}

func (p *Postman) note(ctx context.Context, m Queued, reply string, err error) error {
	now := p.now()
	if err == nil {
		return p.Store.MailDone(ctx, m.Key, Sent, reply, now)
	}
	state, tries := Waiting, m.Attempts+1
	switch {
	case Permanent(err):
		state = Denied
	case tries >= leastTry && now.Sub(m.CreatedAt) >= giveUp:
		state = Expired
	}
	if state == Waiting {
		return p.Store.MailAgain(ctx, m.Key, err.Error(), now, now.Add(min(time.Minute<<min(tries-1, 10), longest)))
	}
	p.Log.WarnContext(ctx, "mail was not delivered; sallyport mail status says why", slog.String("mail", m.Key), slog.String("outcome", string(state)), slog.Int(logkey.Status, Code(err)))
	return p.Store.MailDone(ctx, m.Key, state, err.Error(), now)
}

func (p *Postman) prune(ctx context.Context) error {
	now := p.now()
	if since := now.Sub(p.pruned); since >= 0 && since < pruneSpan {
		return nil
	}
	if _, err := p.Store.PruneMails(ctx, now.Add(-keepFor)); err != nil {
		return fmt.Errorf("forget old mails: %w", err)
	}
	p.pruned = now
	return nil
}

func (p *Postman) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }
