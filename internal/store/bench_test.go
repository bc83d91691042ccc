package store_test

import (
	"fmt"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/store"
)

// BenchmarkUnit is what a unit of work and a read cost on each engine.
func BenchmarkUnit(b *testing.B) {
	for _, e := range engines {
		o := e.place(b, store.Options{})
		o.Sealer = sealer(b, 1)
		db, err := store.Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { closed(b, db) })
		_, err = db.Users().SaveUsers(b.Context(), []directory.User{{UPN: "a@x.test", Email: "a@x.test"}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(e.name+"/read", func(b *testing.B) {
			for b.Loop() {
				if _, err := db.Users().UserByUPN(b.Context(), "a@x.test"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(e.name+"/write", func(b *testing.B) {
			for b.Loop() {
				if err := db.Audit().Append(b.Context(), audit.Entry{Action: "x"}); err != nil {
					b.Fatal(err)
				}
			}
		})
		n := 0 // over all calls of b.Run
		b.Run(e.name+"/event", func(b *testing.B) {
			for b.Loop() {
				n++
				if err := db.Templates().SaveSecret(b.Context(), secretOf(fmt.Sprint(n)), audit.Entry{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
