package store_test

import (
	"errors"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/store"
)

// TestRestoreRestartsFeed: rows that were written after a backup are lost, and who
// has read them must not take others for them that get the same numbers.
func TestRestoreRestartsFeed(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			o := e.place(t, store.Options{Sealer: sealer(t, 1)})
			db, err := store.Open(ctx, o)
			must(t, err)
			now := time.Now().UTC().Truncate(time.Microsecond)
			users, err := db.Users().SaveUsers(ctx, []directory.User{{UPN: "a@x.test", Email: "a@x.test"}}, nil)
			must(t, err)
			d, err := db.Access().Meet(ctx, access.Sighting{UserID: users[0].ID, Key: "k", At: now, Client: access.Client{DeviceID: "K"}}, "")
			must(t, err)
			publish := func(db *store.DB, before, effect access.Effect) access.Change {
				t.Helper()
				told, err := db.Access().Publish(ctx, []access.Change{{At: now, DeviceID: d.ID, UserID: d.UserID, Before: before, Decision: access.Decision{Effect: effect}}})
				must(t, err)
				if len(told) != 1 {
					t.Fatal("nothing was published")
				}
				return told[0]
			}
			kept := publish(db, "", access.Allow)
			closed(t, db)

			for round := range 2 { // a backup of a restored database can be restored, too
				_, err = store.Restored(ctx, "a backup", o, false)
				must(t, err)
				db, err = store.Open(ctx, o)
				must(t, err)
				// It is unknown how many rows there were after the last one of the backup.
				for _, cursor := range []int64{0, kept.Seq - 1, kept.Seq, kept.Seq + 1000} {
					if _, err := db.Access().Changes(ctx, cursor, 10); !errors.Is(err, access.ErrGone) {
						t.Errorf("restore %d: a reader at %d of %d goes on: %v", round, cursor, kept.Seq, err)
					}
				}
				list, newest, err := db.Access().Snapshot(ctx, "", 10)
				must(t, err)
				if len(list) != 1 || list[0].Seq != newest || newest <= kept.Seq {
					t.Errorf("restore %d: snapshot %+v up to %d", round, list, newest)
				}
				kept = publish(db, access.Allow, access.Allow)
				rows, err := db.Access().Changes(ctx, newest, 10)
				must(t, err)
				if len(rows) != 1 || rows[0].Seq != kept.Seq || kept.Seq <= newest {
					t.Errorf("restore %d: %+v follows %d", round, rows, newest)
				}
				closed(t, db)
			}
		})
	}
}
