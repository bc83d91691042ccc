package certs_test

import (
	"testing"

	"sallyport/certs"
)

// The authority keeps the name that it was made with, and takes another that it is given.
func TestAuthorityKeepsItsName(t *testing.T) {
	t.Parallel()
	f, _ := offline(t, certs.KeyP256) // of Example
	for given, want := range map[string]string{"": "Example", "Other": "Other", "Example": "Example"} {
		a, err := certs.Open(t.Context(), f.store, certs.Options{Organization: given, Now: f.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if a.Organization() != want || a.MadeFor() != "Example" {
			t.Errorf("given %q: %q, made for %q", given, a.Organization(), a.MadeFor())
		}
	}
	a, err := certs.Open(t.Context(), newMemory(), certs.Options{Now: f.clock.Now})
	if err != nil || a.Organization() != "Sallyport" || a.MadeFor() != "Sallyport" {
		t.Errorf("a first start: %q, made for %q, %v", a.Organization(), a.MadeFor(), err)
	}
}
