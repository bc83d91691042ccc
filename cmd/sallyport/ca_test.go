package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// fetch gets a URL into FILE, from a server whose certificate nobody checks:
//
//	fetch URL FILE
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetch URL FILE")
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	answer, err := client.Get(args[0])
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s: %s", args[0], answer.Status, body)
	}
	ts.Logf("%s: %s", args[0], answer.Header.Get("Content-Type"))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o600))
}

func TestTheOne(t *testing.T) {
	t.Parallel()
	hashes := []string{"aabbccdd00", "aabbccdd11", "ffeeddcc22"}
	for begin, want := range map[string]string{"aabbccdd1": "aabbccdd11", "ffeeddcc": "ffeeddcc22", "aabbccdd": "", "aabbccdd2": "", "ff": "", "": ""} {
		if got, err := theOne(hashes, begin, "certificate", "sallyport ca list"); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", begin, got, err)
		}
	}
	if got := hexOf(" AA:bb:0C\n"); got != "aabb0c" {
		t.Errorf("hexOf: %q", got)
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]bool{"d/root": true, "d/../d/x/root": true, "root": false, "d/../root": false, "dd/root": false} {
		if got := inside("d", file); got != want {
			t.Errorf("%s in d: %v", file, got)
		}
	}
}
