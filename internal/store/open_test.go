package store_test

import (
	"path/filepath"
	"testing"

	"sallyport/internal/secret"
	"sallyport/internal/store"
)

func TestSmoke(t *testing.T) {
	s, err := secret.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "a b?c#d.db"), Sealer: s})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}
