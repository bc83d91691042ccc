package agent

import (
	"context"
	"errors"
	"testing"
)

func TestReadPage(t *testing.T) {
	base, err := invitationURL("https://mdm.example.test/enroll/ABCD2345?lang=de")
	if err != nil {
		t.Fatal(err)
	}
	const download = "https://mdm.example.test/enroll/ABCD2345/enroll.mobileconfig"
	tests := []struct {
		name, body, url, field, invites, says string
	}{
		{name: "link", body: `<h1>Hello</h1><p>invites alice@example.test</p><a href="/enroll/ABCD2345/enroll.mobileconfig#x">go</a>`, url: download, invites: "alice@example.test", says: "Hello"},
		{name: "relative link", body: `<a href="ABCD2345/enroll.mobileconfig">go</a>`, url: download},
		{name: "first link wins", body: `<a href="/other">x</a><a href="/enroll/ABCD2345/enroll.mobileconfig">go</a><a href="/enroll/OTHER/enroll.mobileconfig">no</a>`, url: download},
		{name: "form", body: `<form method="POST" action="/enroll/ABCD2345/enroll.mobileconfig"><input type=hidden name=a value=b><input name="pin"><input type=submit name=s></form>`, url: download, field: "pin"},
		{name: "form wins over link", body: `<a href="/enroll/ABCD2345/enroll.mobileconfig">go</a><form method=post action="/enroll/ABCD2345/enroll.mobileconfig"><input name=code type=tel></form>`, url: download, field: "code"},
		{name: "search form is not it", body: `<form action="/search"><input name=q></form>`},
		{name: "another site", body: `<a href="https://evil.example/enroll/ABCD2345/enroll.mobileconfig">go</a>`},
		{name: "without TLS", body: `<a href="http://mdm.example.test/enroll/ABCD2345/enroll.mobileconfig">go</a>`},
		{name: "only in a script", body: `<script>"/enroll/ABCD2345/enroll.mobileconfig bob@example.test"</script>`},
		{name: "alert", body: `<h1>Set up your mail</h1><p role="alert">The PIN is <b>not</b> right.</p>`, says: "The PIN is not right."},
		{name: "the form's alert counts more than the banner's", body: `<h1>Set up your mail</h1><section role="alert">Stop: a rehearsal</section><form method=post action="/enroll/ABCD2345/enroll.mobileconfig"><p role="alert">Wrong PIN.</p><input name=pin></form>`, url: download, field: "pin", says: "Wrong PIN."},
		{name: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := readPage(base, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if d.url != nil {
				got = d.url.String()
			}
			if got != tt.url || d.pinField != tt.field || d.invites != tt.invites || d.says() != tt.says {
				t.Errorf("got %q field %q invites %q says %q", got, d.pinField, d.invites, d.says())
			}
		})
	}
}

// A profile whose challenge expired while the phone was off is downloaded again.
func TestStaleProfileIsDownloadedAgain(t *testing.T) {
	f := newFakeServer(t)
	down := true
	f.fault = func(phase, what string) faultKind {
		if down && phase == "before" && what == "PKIOperation" {
			return drop
		}
		return noFault
	}
	p, told := newPhone(t, f, func(o *Options) { o.Retry.Attempts = 1 })
	if err := p.Enroll(context.Background(), f.invitation()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("with a dead server: %v", err)
	}
	f.mu.Lock()
	down = false
	clear(f.challenges)
	f.mu.Unlock()
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Fatal(err)
	}
	told.has(t, "continuing  ")
	if s := show(t, p); s.State != StageEnrolled || len(f.issued) != 1 || len(f.bodies["PKIOperation"]) != 2 {
		t.Errorf("state %s, %d certificates, %d requests", s.State, len(f.issued), len(f.bodies["PKIOperation"]))
	}
}

// Another invitation replaces an enrolment that was not finished.
func TestUnfinishedEnrolmentIsReplaced(t *testing.T) {
	f := newFakeServer(t)
	p, _ := newPhone(t, f)
	f.answerWith = 400
	if err := p.Enroll(context.Background(), f.invitation()); !errors.Is(err, ErrRefused) {
		t.Fatalf("with a server that refuses: %v", err)
	}
	f.answerWith = 0
	if err := p.Enroll(context.Background(), f.invitation()+"?second"); err != nil {
		t.Fatal(err)
	}
	if s := show(t, p); s.State != StageEnrolled || len(s.Profiles) != 1 || len(s.Certificates) != 2 {
		t.Errorf("after the second invitation: %+v", s)
	}
}

func TestStopsWhenAsked(t *testing.T) {
	f := newFakeServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	f.fault = func(_, what string) faultKind {
		if what == "GetCACert" {
			cancel()
			return drop
		}
		return noFault
	}
	p, _ := newPhone(t, f)
	if err := p.Enroll(ctx, f.invitation()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
