package store_test

import (
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
	storetest.Run(t, func(t testing.TB, options store.Options) storetest.Subject {
		options.Path = filepath.Join(t.TempDir(), "sallyport.db")
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
		return storetest.Subject{DB: db, Dump: func(t testing.TB) string { return dump(t, options.Path) }}
	})
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
