package main

import (
	"strings"
	"testing"
	"time"

	"sallyport/mdm"
)

// What the app on the phone said is one line, whatever it said.
func TestShowSaysHowKeysStand(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	var out strings.Builder
	var d deviceShown
	d.Report.Keys = &mdm.KeyFacts{At: day, Items: []mdm.KeyOnFile{
		{Alias: "sallyport-mail", SHA256: strings.Repeat("ab", 32), At: day, NotAfter: day.AddDate(1, 0, 0)},
		{Alias: "sallyport-sales", Failure: "no key\nstore", FailedAt: day},
	}}
	if err := printDevice(&program{stdout: &out}, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Keys\n  sallyport-mail  certificate abab", "told of on 2026-11-21 08:00:00Z, until 2027-11-21 08:00:00Z\n",
		"  sallyport-sales  no certificate; the app failed on 2026-11-21 08:00:00Z: no key",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "key\nstore") {
		t.Error("the app's words take two lines")
	}
}
