package notify_test

import (
	"crypto/x509"
	"mime"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/internal/notify"
	"sallyport/internal/notify/notifytest"
	"sallyport/internal/secret"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at is the server of a URL. tls is for "tls" and "starttls", which on loopback
// only tests know: the URL of a server there means a way without TLS.
func at(t testing.TB, scheme, address string) notify.Server {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	name := host
	if scheme == "starttls" {
		scheme, name = "smtp", "mail.example.test"
	}
	s, fault := notify.ParseServer("smtp_url", scheme+"://"+net.JoinHostPort(name, port))
	if fault != nil {
		t.Fatal(fault)
	}
	s.Host = host
	if s.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSend(t *testing.T) {
	t.Parallel()
	cert, roots := notifytest.Certificate(t)
	for _, way := range []string{"smtp", "starttls", "smtps"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := &notifytest.Server{T: t, Cert: cert, StartTLS: way == "starttls", TLS: way == "smtps", Secret: "canary-4711"}
			address := s.Start("")
			defer s.Stop()
			sender := &notify.Sender{Server: at(t, way, address), User: "sallyport", Password: secret.New("canary-4711"), From: "mdm@example.test",
				Roots: roots, Now: func() time.Time { return noon }}
			reply, err := sender.Send(t.Context(), notify.Mail{Key: "k1", To: "alice@example.test", Locale: "de",
				Subject: "Vorerst keine Mail: für\r\nBcc: eve@example.test", Text: "Schöne Grüße\n.\n.Punkt\x00\n" + strings.Repeat("lang ", 300)})
			if err != nil || !strings.Contains(reply, "queued as 4711") {
				t.Fatalf("%q, %v", reply, err)
			}
			got := s.Got()
			if len(got) != 1 || got[0].Private != (way != "smtp") || got[0].User != "sallyport" || got[0].From != "mdm@example.test" || got[0].To != "alice@example.test" {
				t.Fatalf("took %+v", got)
			}
			checkHeaders(t, got[0])
			if want := "Schöne Grüße\n.\n.Punkt \n" + strings.Repeat("lang ", 300); strings.TrimRight(got[0].Body, "\n") != want {
				t.Errorf("text came as %q", got[0].Body)
			}
		})
	}
}

func checkHeaders(t *testing.T, m notifytest.Taken) {
	t.Helper()
	for key, want := range map[string]string{
		"Auto-Submitted": "auto-generated", "Content-Language": "de", "From": "<mdm@example.test>", "To": "<alice@example.test>", "Bcc": "",
		"Message-Id": "<6ab9f1eb8f7d3388f4f9d586f66e99fd@example.test>", "Date": "Sun, 22 Nov 2026 12:00:00 +0000", "Content-Type": "text/plain; charset=UTF-8",
	} {
		if got := m.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if want := "Vorerst keine Mail: für Bcc: eve@example.test"; err != nil || subject != want {
		t.Errorf("Subject: %q, %v, want %q", subject, err, want)
	}
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	cert, roots := notifytest.Certificate(t)
	tests := []struct {
		name      string
		server    *notifytest.Server
		way       string
		to        string
		roots     *x509.CertPool
		permanent bool
		code      int
		says      string
	}{
		{name: "unknown mailbox", server: &notifytest.Server{Answers: map[string]string{"RCPT": "550 5.1.1 nobody there"}}, permanent: true, code: 550, says: "550 5.1.1 nobody there"},
		{name: "greylisted", server: &notifytest.Server{Answers: map[string]string{"RCPT": "451 4.7.1 come again"}}, code: 451, says: "come again"},
		{name: "content refused", server: &notifytest.Server{Answers: map[string]string{"DATA": "554 5.7.1 spam"}}, permanent: true, code: 554, says: "spam"},
		{name: "sign in first", server: &notifytest.Server{Answers: map[string]string{"MAIL": "530 5.7.0 sign in"}}, says: "sign in"},
		{name: "wrong password", server: &notifytest.Server{Secret: "other"}, says: "who are you?"},
		{name: "no STARTTLS", server: &notifytest.Server{}, way: "starttls", says: "STARTTLS"},
		{name: "certificate that nobody trusts", server: &notifytest.Server{TLS: true}, way: "smtps", roots: x509.NewCertPool(), says: "certificate"},
		{name: "no address", server: &notifytest.Server{}, to: "alice", permanent: true, code: 553, says: "not a mail address"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.server.T, c.server.Cert = t, cert
			if c.way == "" {
				c.way = "smtp"
			}
			if c.to == "" {
				c.to = "alice@example.test"
			}
			if c.roots == nil {
				c.roots = roots
			}
			address := c.server.Start("")
			defer c.server.Stop()
			sender := &notify.Sender{Server: at(t, c.way, address), From: "mdm@example.test", Roots: c.roots, Now: time.Now}
			if c.server.Secret != "" {
				sender.User, sender.Password = "sallyport", secret.New("canary-4711")
			}
			_, err := sender.Send(t.Context(), notify.Mail{Key: "k", To: c.to, Subject: "s", Text: "t"})
			if err == nil || notify.Permanent(err) != c.permanent || notify.Code(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, permanent %t, code %d", err, notify.Permanent(err), notify.Code(err))
			}
			if err != nil && (strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\t\n\r")) {
				t.Errorf("the error tells a secret, or is on several lines: %q", err)
			}
		})
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"smtp://mail.example.com": "smtp://mail.example.com:587", "smtps://mail.example.com": "smtps://mail.example.com:465",
		"smtp://localhost": "smtp://localhost:25", "smtp://[::1]:2525": "smtp://[::1]:2525", "smtp://mail.example.com:25/": "smtp://mail.example.com:25",
	} {
		s, fault := notify.ParseServer("smtp_url", text)
		if fault != nil || s.String() != want || s.Plain() != (strings.Contains(text, "localhost") || strings.Contains(text, "::1")) {
			t.Errorf("%s: %v, %v", text, s, fault)
		}
	}
	for _, text := range []string{"", "mail.example.com:25", "http://x", "smtp://", "smtp://user:canary@x", "smtp://x/p", "smtp://x?a=b", "smtp://x:0", "smtp://x:99999", "smtp://x#", "smtp://%zz"} {
		if s, fault := notify.ParseServer("smtp_url", text); fault == nil || strings.Contains(fault.Error(), "canary") {
			t.Errorf("%q: %v, %v", text, s, fault)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"a@b.example", "a@b>\r\nRCPT TO:<c@d", "\"a b\"@c", "a@[127.0.0.1]", "ü@b.example", "<a@b>", "a@b(c)", "a@b."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, fault := notify.ParseAddress("to", text)
		if fault != nil {
			return
		}
		if address != text || strings.ContainsAny(address, "\r\n\x00 <>,;:\"()") || strings.Count(address, "@") != 1 {
			t.Errorf("took %q", address)
		}
	})
}
