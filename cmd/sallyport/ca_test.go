package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/enroll"
	"sallyport/internal/lapse"
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

func TestOwnChecks(t *testing.T) {
	t.Parallel()
	own := func(role, state string, stage lapse.Stage, next string) enroll.Ending {
		return enroll.Ending{Role: role, State: state, Subject: "CN=x", Stage: stage, Next: next}
	}
	for name, tt := range map[string]struct {
		own  []enroll.Ending
		want []grade
	}{
		"all is well":      {[]enroll.Ending{own("root", "active", lapse.Fine, ""), own("scep-ra", "", lapse.Fine, "")}, []grade{good}},
		"one ends":         {[]enroll.Ending{own("root", "active", lapse.Fine, ""), own("issuing", "active", lapse.Days30, "sallyport ca csr")}, []grade{warn, good}},
		"one has":          {[]enroll.Ending{own("issuing", "active", lapse.Expired, "sallyport ca csr")}, []grade{broken}},
		"an old one may":   {[]enroll.Ending{own("issuing", "old", lapse.Expired, "")}, nil},
		"the server's own": {[]enroll.Ending{own("server", "", lapse.Days7, "renew it")}, nil},
	} {
		var got []grade
		for _, c := range ownChecks(tt.own) {
			got = append(got, c.Grade)
			if (c.Grade != good) != (c.Next != "") {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if phoneCheck(enroll.IdentityEndings{Within30: 3}).Grade != good || phoneCheck(enroll.IdentityEndings{Within7: 1}).Grade != warn {
		t.Error("identities of phones")
	}
	if handCheck(enroll.IdentityEndings{}).Grade != good || handCheck(enroll.IdentityEndings{ByHand30: 1}).Grade != warn {
		t.Error("certificates by hand")
	}
	now := time.Now()
	p := &program{now: func() time.Time { return now }}
	if listCheck(p, []enroll.ListState{{NextUpdate: now}}).Grade != broken || listCheck(p, []enroll.ListState{{NextUpdate: now.Add(time.Hour)}}).Grade != good {
		t.Error("revocation lists")
	}
}
