package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func invitations(f *fakeServer, n int) []Invitation {
	var out []Invitation
	for i := range n {
		out = append(out, Invitation{URL: fmt.Sprintf("%s?phone=%d", f.invitation(), i)})
	}
	return out
}

func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.greeting = func() []m {
		mail := f.ca.signed(t, f.encode(f.mailProfile(easUUID, "mail.example.test")))
		return []m{
			{"CommandUUID": randomText(), "Command": m{"RequestType": "InstallProfile", "Payload": mail}},
			{"CommandUUID": randomText(), "Command": m{"RequestType": "SelfDestruct"}},
		}
	}
	reports := make(chan FleetReport, 100)
	got, err := RunFleet(context.Background(), FleetOptions{
		Invitations: invitations(f, 9), Phones: 4, Rows: 3, Server: f.http.URL, CA: []*x509.Certificate{f.ca.root},
		Forwarded: true, Rate: 1000, Every: time.Millisecond, Duration: 50 * time.Millisecond, Retry: quick, Progress: func(r FleetReport) { reports <- r },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Enrolled != 4 || got.Silent != 3 || got.Configured != 4 || got.Commands != 8 || got.Refused != 4 || got.Twice != 0 || len(got.Errors) != 0 {
		t.Errorf("%+v", got)
	}
	if got.Polls < 5 { // each at its enrolment, and later as often as the machine allows
		t.Errorf("%d polls", got.Polls)
	}
	for kind, want := range map[string]int{kindPage: 14, kindCheckIn: 14, kindSCEP: 7*3 + 4*3, kindPoll: got.Polls + got.Commands} {
		if r := got.Requests[kind]; r.Requests != want || r.Failed != 0 || r.P50 <= 0 || r.P95 < r.P50 || r.Max < r.P95 {
			t.Errorf("%s: %+v, want %d requests", kind, r, want)
		}
	}
	for n := range 7 {
		if address := fmt.Sprintf("198.18.0.%d", n); f.callers[address] < 7 {
			t.Errorf("%s called %d times", address, f.callers[address])
		}
	}
	keys := map[string]bool{}
	for use := range f.issued {
		keys[use[:64]] = true // the transaction is the hash of the key
	}
	if len(keys) != len(f.issued) || len(keys) != 7+4 {
		t.Errorf("%d keys for %d certificates", len(keys), len(f.issued))
	}
}

// A server that refuses is counted, and Ctrl-C ends a fleet with its report.
func TestFleetInTrouble(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.answerWith = 400
	o := FleetOptions{Invitations: invitations(f, 3), Phones: 2, Rows: 1, CA: []*x509.Certificate{f.ca.root}, Rate: 1000, Retry: quick}
	got, err := RunFleet(context.Background(), o)
	if err != nil || got.Enrolled != 0 || got.Silent != 0 || got.Errors[ErrRefused.Error()] != 3 || got.Requests[kindCheckIn].Failed != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if got, err := RunFleet(ctx, o); !errors.Is(err, context.Canceled) || got.Enrolled != 0 || len(got.Errors) != 0 {
		t.Errorf("stopped: %+v, %v", got, err)
	}
}

func TestFleetRefuses(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	for name, o := range map[string]FleetOptions{
		"nobody":        {Invitations: invitations(f, 1)},
		"too few":       {Invitations: invitations(f, 2), Phones: 2, Rows: 1},
		"too many":      {Phones: maxFleet + 1},
		"less":          {Phones: -1},
		"elsewhere":     {Invitations: invitations(f, 1), Phones: 1, Server: "https://example.test"},
		"no server":     {Invitations: invitations(f, 1), Phones: 1, Server: "mdm.example.test"},
		"not encrypted": {Invitations: invitations(f, 1), Phones: 1, Server: "http://127.0.0.1"},
	} {
		if _, err := RunFleet(context.Background(), o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.requests) > 0 {
		t.Errorf("asked for %v", f.requests)
	}
}

func TestReadInvitations(t *testing.T) {
	t.Parallel()
	got, err := ReadInvitations(strings.NewReader("upn,email,display_name,url,pin,expires_at\na@example.test,,,https://example.test/enroll/A,123456,\n\"'=b\",,\"B, b\",https://example.test/enroll/B,,\n"))
	if err != nil || len(got) != 2 || got[0].URL != "https://example.test/enroll/A" || got[0].PIN.Reveal() != "123456" || got[1].PIN.Reveal() != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ReadInvitations(strings.NewReader("url\nhttps://example.test/enroll/A\n")); err != nil || len(got) != 1 {
		t.Errorf("without PINs: %+v, %v", got, err)
	}
	for name, bad := range map[string]string{
		"empty": "", "no header": "https://example.test/enroll/A\n", "not an address": "url\nhttp://example.test/\n",
		"twice": "url\nhttps://example.test/A\nhttps://example.test/A\n", "ragged": "url,pin\nhttps://example.test/A\n", "quotes": "url\n\"x\n",
	} {
		if _, err := ReadInvitations(strings.NewReader(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBenchmarkAddress(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "198.18.0.0", 258: "198.18.1.2", 65536: "198.19.0.0", 131071: "198.19.255.255", 131072: "198.18.0.0"} {
		if got := benchmarkAddress(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestTimings(t *testing.T) {
	t.Parallel()
	var w timings
	for i := 1; i <= 100; i++ {
		w.add(time.Duration(i)*time.Millisecond, map[bool]int{true: 500, false: 200}[i%10 == 0])
	}
	w.add(0, 429)
	s := w.summary()
	if s.Requests != 101 || s.Failed != 10 || s.Limited != 1 || s.P50 < 50 || s.P50 > 54 || s.P95 < 95 || s.P95 > 100 || s.Max != 100 {
		t.Errorf("%+v", s)
	}
	w.add(24*time.Hour, 0)
	if got := (&timings{}).summary(); got.P95 != 0 || w.summary().Max != 24*3600*1000 {
		t.Errorf("%+v", got)
	}
}
