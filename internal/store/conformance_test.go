package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB, options store.Options) storetest.Subject {
				options = e.place(t, options)
				options.Sealer = sealer(t, 1)
				db, err := store.Open(t.Context(), options)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
				return storetest.Subject{DB: db, Dump: e.dump(t, options), Exec: func(t testing.TB, statement string, args ...any) {
					_, err := direct(t, options).Exec(statement, args...)
					must(t, err)
				}}
			})
		})
	}
}

// engines are what every test of the store runs on.
var engines = []struct {
	name string
	// place says where the next database is.
	place func(testing.TB, store.Options) store.Options
	// dump makes the function that shows every row of that database.
	dump func(testing.TB, store.Options) func(testing.TB) string
}{
	{"sqlite", onSQLite, dumpSQLite},
	{"postgres", onPostgres, dumpPostgres},
}

func onSQLite(t testing.TB, o store.Options) store.Options {
	o.Path = filepath.Join(t.TempDir(), "sallyport.db")
	return o
}

// onPostgres copies a database that was prepared once: that is what costs time.
func onPostgres(t testing.TB, o store.Options) store.Options {
	o.Database = cluster.Copy(t, "prepared", func(url string) error {
		db, err := store.Open(context.Background(), store.Options{Database: url, Sealer: sealer(t, 1)})
		if err != nil {
			return err
		}
		return db.Close()
	})
	return o
}

// dumpPostgres reads every row of every table. The order of rows is that of
// their text, as not every table has a first column that tells them apart.
func dumpPostgres(t testing.TB, o store.Options) func(testing.TB) string {
	db := rawPostgres(t, o.Database)
	db.SetMaxOpenConns(1)
	var all []string
	return func(t testing.TB) string {
		t.Helper()
		if all == nil {
			for _, table := range column(t, db, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`) {
				all = append(all, `SELECT '`+table+` ' || t::text FROM `+table+` t`)
			}
		}
		return strings.Join(lines(t, db, strings.Join(all, " UNION ALL ")+" ORDER BY 1"), "\n")
	}
}

// rawPostgres opens the database past the store.
func rawPostgres(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// direct is a connection past the store.
func direct(t testing.TB, o store.Options) *sql.DB {
	t.Helper()
	if o.Database != "" {
		return rawPostgres(t, o.Database)
	}
	return raw(t, o.Path)
}

// sealer is one under a key that is made of b.
func sealer(t testing.TB, b byte) *secret.Sealer {
	t.Helper()
	key := make([]byte, 32)
	for i := range key {
		key[i] = b
	}
	s, err := secret.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// raw opens the file past the store.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func dumpSQLite(_ testing.TB, o store.Options) func(testing.TB) string {
	return func(t testing.TB) string { return dump(t, o.Path) }
}

// dump reads every row of every table.
func dump(t testing.TB, path string) string {
	t.Helper()
	db := raw(t, path)
	defer db.Close()
	var b strings.Builder
	for _, table := range column(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`) {
		fmt.Fprintln(&b, "==", table)
		for _, line := range lines(t, db, `SELECT * FROM `+table+` ORDER BY 1, 2`) {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

func column(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	var list []string
	for _, line := range lines(t, db, query) {
		list = append(list, strings.Trim(line, "|"))
	}
	return list
}

func lines(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		values, targets := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, v := range values {
			if blob, ok := v.([]byte); ok {
				v = string(blob)
			}
			line += fmt.Sprintf("%v|", v)
		}
		list = append(list, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
