package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"sallyport/internal/secret"
)

// TestAskMail: the phone asks as Gmail does, by the device ID of its policy.
func TestAskMail(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	refuse := false
	mail := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		q := r.URL.Query()
		user, password, _ := r.BasicAuth()
		if err != nil || !bytes.Equal(body, folderSync) || r.URL.Path != "/Microsoft-Server-ActiveSync" || q.Get("Cmd") != "FolderSync" ||
			q.Get("DeviceId") != "sply0123456789abcdef0123456789ab" || q.Get("DeviceType") != "Android" || q.Get("User") != `EXAMPLE\alice` || user != `EXAMPLE\alice` || password != "pw" {
			t.Errorf("%s %s %v %q", r.Method, r.URL, r.Header, body)
		}
		if refuse {
			w.Header().Set("X-Sallyport-Decision", "block")
			w.Header().Set("X-Sallyport-Reason", "https://mdm.example.test/r/1")
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(mail.Close)
	p := s.worker()
	ask := func() (MailAnswer, error) {
		return p.AskMail(context.Background(), MailRequest{Server: mail.URL, Password: secret.New("pw")})
	}
	if _, err := ask(); !errors.Is(err, ErrInvalid) {
		t.Errorf("without an account: %v", err)
	}
	s.give(p, gmailPolicy(``))
	if a, err := ask(); err != nil || a.Status != http.StatusOK {
		t.Errorf("%+v %v", a, err)
	}
	refuse = true
	if a, err := ask(); err != nil || a.Status != http.StatusForbidden || a.Decision != "block" || a.Reason == "" {
		t.Errorf("%+v %v", a, err)
	}
}
