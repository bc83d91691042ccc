package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
)

// Restoration is what an admin has to know of a restore that was done.
type Restoration struct {
	Kept        string              // where the database is that was replaced; empty: there was none
	Invitations []enroll.Invitation // that could be used, and are revoked, by UPN
	EndedTokens []auth.Token        // that were live, and are revoked, newest first
	LiveTokens  []auth.Token        // of engines, that still are, newest first; also those that were revoked after the backup
}

// Restored is the last step after pg_restore has put an older state of a
// PostgreSQL database back: what Restore does to a file. name says in the trail
// what was restored; engines says that the tokens of engines end, too. Doing it
// twice, or without need, costs phones in the middle of an enrolment another try,
// and people a new invitation or token.
func Restored(ctx context.Context, name string, options Options, engines bool) (Restoration, error) {
	db, err := Open(ctx, options)
	if err != nil {
		return Restoration{}, err
	}
	told, err := db.endRestored(ctx, name, engines)
	return told, errors.Join(err, db.Close())
}

// endRestored ends what of a backup may have been used, done or taken back since:
//
//   - Open challenges are void, and open invitations revoked: each works once.
//   - Tokens of people are revoked: else one that was revoked since would let in whom it
//     was taken from. Those of engines are not, unless engines says so: they only read,
//     and without them every gate is shut.
//   - Open acts have failed: a phone must not be wiped for an act that an admin took back.
//   - Exports of S/MIME keys are over: each is taken once.
//   - Readers of the feed of decisions start anew: they may know rows that are lost.
//   - Policies of Android phones are sent anew: Google may have later ones.
//
// The trail gets an entry "backup.restore".
func (db *DB) endRestored(ctx context.Context, name string, engines bool) (Restoration, error) {
	var told Restoration
	err := db.write(ctx, "restore backup", func(t *tx) error {
		now := db.now()
		challenges, err := t.change(ctx, `UPDATE certs_challenges SET void_at = $1 WHERE void_at = 0 AND certificate_sha256 = ''`, micros(now))
		if err != nil {
			return err
		}
		if told.Invitations, err = t.revokeInvitations(ctx, now); err != nil {
			return err
		}
		if told.EndedTokens, told.LiveTokens, err = t.endTokens(ctx, now, engines); err != nil {
			return err
		}
		acts, err := t.failOpenActs(ctx, now, "the database was restored from a backup: order it again if it is still wanted")
		if err != nil {
			return err
		}
		exports, err := t.endExports(ctx, now)
		if err != nil {
			return err
		}
		if err := t.startAnew(ctx, now); err != nil {
			return err
		}
		return t.audit(ctx, audit.New(ctx, now, "backup.restore", name, audit.Done,
			"voided_challenges", strconv.FormatInt(challenges, 10), "failed_acts", strconv.FormatInt(acts, 10), "ended_exports", strconv.FormatInt(exports, 10),
			"revoked_invitations", strconv.Itoa(len(told.Invitations)), "ended_tokens", strconv.Itoa(len(told.EndedTokens)), "live_tokens", strconv.Itoa(len(told.LiveTokens))))
	})
	return told, err
}

// startAnew forgets what others were told: they may have been told other things since.
func (t *tx) startAnew(ctx context.Context, now time.Time) error {
	if err := t.restoreFeed(ctx); err != nil {
		return err
	}
	if err := t.restoreAndroid(ctx, now); err != nil {
		return err
	}
	return t.dropNotices(ctx) // mails may be out, and were told of
}
