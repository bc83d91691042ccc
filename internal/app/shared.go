package app

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/store"
	"sallyport/internal/work"
)

// ErrTwoDatabases says that a data directory has a database of its own while
// another one was named.
var ErrTwoDatabases = errors.New("data directory has a database of its own")

// openShared opens a PostgreSQL database. Each server on it has the same key: in
// files it is made at the first start of the first of them, and copied to the
// others by hand.
func openShared(ctx context.Context, k keyPlace, o store.Options) (*store.DB, error) {
	if err := k.single(); err != nil {
		return nil, err
	}
	served, haveKey := wasServed(k.dir), k.there()
	switch {
	case exists(databasePath(k.dir)):
		return nil, refusal.New(ErrTwoDatabases, "database", databasePath(k.dir)+" holds a fleet already, and there is no move from there to PostgreSQL",
			"leave --database out, or name another directory with --data")
	case !haveKey && served:
		return nil, refusal.New(ErrNoKey, "kek", k.String()+" is missing, and the database is sealed with it", keyBack)
	}
	sealer, err := k.open()
	if err != nil {
		return nil, err
	}
	o.Sealer, o.MustExist = sealer, served
	db, err := store.Open(ctx, o)
	if wrong := refusal.All(err); errors.Is(err, store.ErrWrongKey) && len(wrong) == 1 {
		err = refusal.New(store.ErrWrongKey, "kek", wrong[0].Reason+": "+k.String(),
			"copy the file kek from the data directory of a server that runs on this database, with mode 600; all of them have the same key, also where it is in "+config.VariableKEK)
	}
	if err != nil && !haveKey { // the next start must not take for ours what fits nothing
		err = errors.Join(err, os.Remove(k.file))
	}
	return db, err
}

// Restored ends what was open in a database that pg_restore has put back; see
// store.Restored. name tells the trail what was restored; engines says that the
// tokens of engines end, too.
func Restored(ctx context.Context, cfg config.Config, name string, engines bool) (told store.Restoration, err error) {
	k := keyPlaceOf(cfg)
	if err := k.single(); err != nil {
		return told, err
	}
	if !k.there() {
		return told, refusal.New(ErrNoKey, "kek", k.String()+" is missing: the database is sealed with the key of the server that made it", "put your copy of that file there, with mode 600")
	}
	sealer, err := k.open()
	if err != nil {
		return told, err
	}
	return store.Restored(ctx, name, store.Options{Database: cfg.Database.Reveal(), Sealer: sealer, MustExist: true}, engines)
}

// authorityEvery is how soon a server knows of an authority that was imported,
// activated or retired by way of another one on the same database.
const authorityEvery = 5 * time.Second

// shared makes of background work what one server at a time does. Some of it
// each server does for itself.
func (a *App) shared(all []work.Consumer) []work.Consumer {
	for i, c := range all {
		switch c.Name {
		case serverCertificate, changeFeed:
		case ownCertificates:
			// Every server takes up what the others have made, one after the other.
			all[i].Step = func(ctx context.Context) (more bool, err error) {
				err = a.db.Alone(ctx, c.Name, func(ctx context.Context) (err error) {
					more, err = c.Step(ctx)
					return err
				})
				return more, err
			}
			if a.postgres {
				all[i].Every = authorityEvery
			}
		default:
			all[i].Step = a.db.Shared(c.Name, c.Step)
		}
	}
	return all
}

// backups tells the API's callers about backups that are made elsewhere.
type backups struct{ db *store.DB }

func (b backups) Backup(ctx context.Context, w io.Writer) error {
	err := b.db.Backup(ctx, w)
	var told *refusal.Error
	if errors.Is(err, store.ErrOwnTools) && errors.As(err, &told) {
		return refusal.New(problem.ErrNotFound, "", told.Reason, told.Remedy)
	}
	return err
}
