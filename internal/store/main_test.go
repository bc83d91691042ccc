package store_test

import (
	"flag"
	"os"
	"testing"

	"sallyport/internal/store/postgrestest"
)

var cluster postgrestest.Shared

// TestMain lets property tests run 25 times unless -rapid.checks says another
// number: each step syncs a file, and the race detector slows SQLite down a lot.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "25")
	}
	code := m.Run()
	cluster.Close()
	os.Exit(code)
}
