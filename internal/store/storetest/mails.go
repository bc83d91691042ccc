package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/notify"
)

func testMails(t *testing.T, make Maker) {
	t.Run("queue", testMailQueue(make))
	t.Run("bound of the queue", testMailBound(make))
	t.Run("notices", testMailNotices(make))
	t.Run("lines for admins", testMailDigest(make))
}

func queuedMail(key string) notify.Mail {
	return notify.Mail{Key: key, To: "alice@example.test", Subject: "Subject", Text: "text", Locale: "en, de"}
}

// dueMails are the mails to be tried at that time.
func (w *world) dueMails(at time.Time) []string {
	w.t.Helper()
	list, err := w.DB.Mails().DueMails(w.ctx, at, 100)
	w.ok(err)
	var all []string
	for _, q := range list {
		all = append(all, fmt.Sprintf("%s %s %s %d", q.Key, q.To, q.Text, q.Attempts))
	}
	return all
}

func testMailQueue(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		mails, now := w.DB.Mails(), stored(w.now())
		w.unchangedBy(func() { w.ok(mails.Enqueue(w.ctx, nil)) })
		w.ok(mails.Enqueue(w.ctx, []notify.Mail{queuedMail("b"), queuedMail("a"), queuedMail("c")}))
		w.unchangedBy(func() { w.ok(mails.Enqueue(w.ctx, []notify.Mail{queuedMail("a")})) })
		later := now.Add(time.Hour)
		w.same(w.dueMails(later), []string{"a alice@example.test text 0", "b alice@example.test text 0", "c alice@example.test text 0"})
		w.ok(mails.MailDone(w.ctx, "a", notify.Sent, "250 fine", later))
		w.ok(mails.MailAgain(w.ctx, "b", "451 later", later, later.Add(time.Minute)))
		w.ok(mails.MailDone(w.ctx, "c", notify.Denied, "550 no", later.Add(time.Second)))
		w.unchangedBy(func() { w.ok(mails.MailDone(w.ctx, "a", notify.Denied, "550 no", later)) })
		w.same(w.dueMails(later), []string(nil))
		w.same(w.dueMails(later.Add(time.Minute)), []string{"b alice@example.test text 1"})
		w.same(w.dueMails(later.Add(-100*time.Hour)), []string{"b alice@example.test text 1"})
		st, err := mails.MailStatus(w.ctx)
		w.ok(err)
		if st.Oldest.IsZero() {
			t.Error("nobody waits")
		}
		st.Oldest = time.Time{}
		w.same(st, notify.Status{Waiting: 1, Tried: 1, Sent: 1, Lost: 1, Reply: "550 no", ReplyAt: later.Add(time.Second)})
		n, err := mails.PruneMails(w.ctx, later.Add(time.Second))
		w.ok(err)
		w.same(n, int64(1))
		w.ok(mails.Enqueue(w.ctx, []notify.Mail{queuedMail("c")}))
		w.same(w.dueMails(later.Add(time.Minute)), []string{"b alice@example.test text 1"})
	}
}

func testMailBound(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		var list []notify.Mail
		for i := range notify.MaxWaiting {
			list = append(list, queuedMail(fmt.Sprint("m", i)))
		}
		w.ok(w.DB.Mails().Enqueue(w.ctx, list[1:]))
		w.unchangedBy(func() {
			if err := w.DB.Mails().Enqueue(w.ctx, []notify.Mail{queuedMail("x"), queuedMail("y")}); !errors.Is(err, notify.ErrFull) {
				t.Errorf("one too many: %v", err)
			}
		})
		w.ok(w.DB.Mails().Enqueue(w.ctx, list))
	}
}

func noted(move access.NoticeMove, id access.DeviceID, seq int64, at time.Time, e access.Effect) access.Noted {
	return access.Noted{Move: move, DueAt: at, Change: access.Change{Seq: seq, DeviceID: id, At: at, Decision: access.Decision{Effect: e, Reasons: []access.Reason{}}, Spellings: []string{}},
		Line: access.DigestLine{Key: access.DeviceLine(id), At: at, Effect: e, Device: id}}
}

// dueNotices are those that are due at that time.
func (w *world) dueNotices(at time.Time) []string {
	w.t.Helper()
	list, err := w.DB.Mails().DueNotices(w.ctx, at, at.Add(2*time.Hour), 100)
	w.ok(err)
	var all []string
	for _, n := range list {
		all = append(all, fmt.Sprintf("%s %d %s", n.Change.DeviceID, n.Change.Seq, n.DueAt.Sub(stored(start))))
	}
	return all
}

func testMailNotices(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		mails, at := w.DB.Mails(), stored(start)
		note := func(from, to int64, list ...access.Noted) {
			t.Helper()
			w.ok(mails.NoteChanges(w.ctx, from, to, list, time.Hour))
		}
		w.unchangedBy(func() { note(0, 5, noted(access.NoticeBegin, "d1", 5, at, access.Block)) })
		w.ok(mails.BeginNotices(w.ctx, 5))
		w.unchangedBy(func() { note(4, 6, noted(access.NoticeBegin, "d1", 6, at, access.Block)) })
		note(5, 9, noted(access.NoticeBegin, "d1", 6, at, access.Block), noted(access.NoticeBegin, "d2", 7, at, access.Quarantine), noted(access.NoticeBegin, "d3", 8, at, access.Block),
			noted(access.NoticeTurn, "d2", 9, at, access.Block), noted(access.NoticeTurn, "d4", 9, at, access.Block), noted(access.NoticeEnd, "d3", 9, at, access.Allow))
		w.same(w.dueNotices(at.Add(-time.Second)), []string(nil))
		w.same(w.dueNotices(at), []string{"d1 6 0s", "d2 9 0s"})
		w.same(w.dueNotices(at.Add(-3*time.Hour)), []string{"d1 6 0s", "d2 9 0s"}) // the clock was set right
		due, err := mails.DueNotices(w.ctx, at, at.Add(time.Hour), 1)
		w.ok(err)
		m := queuedMail("access/d1/6")
		w.ok(mails.NoticeTold(w.ctx, due[0], &m, at))
		w.unchangedBy(func() { w.ok(mails.NoticeTold(w.ctx, due[0], &m, at)) })
		note(9, 10, noted(access.NoticeEnd, "d1", 10, at, access.Allow), noted(access.NoticeBegin, "d1", 11, at.Add(time.Minute), access.Block), noted(access.NoticeForget, "d2", 12, at, ""))
		w.same(w.dueNotices(at.Add(time.Minute)), []string(nil))
		w.same(w.dueNotices(at.Add(time.Hour)), []string{"d1 11 1h0m0s"})
		due, err = mails.DueNotices(w.ctx, at.Add(time.Hour), at.Add(2*time.Hour), 1)
		w.ok(err)
		w.ok(mails.NoticeTold(w.ctx, due[0], nil, at.Add(time.Hour)))
		w.same(len(w.dueMails(at.Add(24*time.Hour))), 1)
		seq, begun, err := mails.NoticeCursor(w.ctx)
		w.ok(err)
		w.same([]any{seq, begun}, []any{int64(10), true})
		w.ok(mails.ForgetNotices(w.ctx))
		w.unchangedBy(func() { w.ok(mails.ForgetNotices(w.ctx)) })
		w.same(w.dueMails(at.Add(24*time.Hour)), []string(nil))
	}
}

func testMailDigest(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		mails, at := w.DB.Mails(), stored(start)
		digest := func(before time.Time) access.Digest {
			t.Helper()
			d, err := mails.Digest(w.ctx, before, 1)
			w.ok(err)
			return d
		}
		w.same(digest(at), access.Digest{})
		w.ok(mails.BeginNotices(w.ctx, 1))
		w.ok(mails.NoteChanges(w.ctx, 1, 2, []access.Noted{noted(access.NoticeBegin, "d2", 1, at.Add(time.Minute), access.Quarantine), noted(access.NoticeBegin, "d1", 2, at, access.Block)}, time.Hour))
		line := access.DigestLine{Key: "compliance/n", At: at.Add(time.Hour), User: "alice", Name: "e"}
		w.ok(mails.AddLine(w.ctx, line))
		w.unchangedBy(func() { w.ok(mails.AddLine(w.ctx, line)) })
		first := noted(access.NoticeBegin, "d1", 2, at, access.Block).Line
		w.same(digest(at), access.Digest{Lines: []access.DigestLine{first}, Waiting: 1, Oldest: at})
		w.same(digest(at.Add(time.Hour)), access.Digest{Lines: []access.DigestLine{first}, Waiting: 3, Quarantined: 1, Oldest: at})
		w.ok(mails.DigestSent(w.ctx, at.Add(time.Minute), at.Add(2*time.Hour), []notify.Mail{queuedMail("digest")}))
		w.unchangedBy(func() {
			w.ok(mails.DigestSent(w.ctx, at.Add(time.Minute), at.Add(2*time.Hour), []notify.Mail{queuedMail("digest2")}))
		})
		w.same(digest(at.Add(time.Hour)), access.Digest{Lines: []access.DigestLine{line}, Waiting: 1, Oldest: at.Add(time.Hour), SentAt: at.Add(2 * time.Hour)})
		w.ok(mails.NoteChanges(w.ctx, 2, 3, []access.Noted{noted(access.NoticeBegin, "d1", 3, at, access.Quarantine)}, time.Hour))
		w.same(digest(at).Quarantined, 1)
		w.ok(mails.NoteChanges(w.ctx, 3, 4, []access.Noted{noted(access.NoticeEnd, "d1", 4, at, access.Allow)}, time.Hour))
		w.same(digest(at).Waiting, 0)
	}
}
