package app_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/profiles/managedconfig"
)

// plugged is signed where Samsung's own plugin fetches certificates.
func plugged(t *testing.T) *signed {
	t.Helper()
	s := newSigned(t)
	var set struct {
		Package managedconfig.Package `json:"package"`
	}
	s.call(http.MethodPut, "/api/v1/android/companion", "application/json", []byte(`{"package":"com.samsung.android.knox.kpu"}`), &set)
	if set.Package != managedconfig.KnoxPackage {
		t.Errorf("companion %+v", set)
	}
	return s
}

// companys is a phone of the company, with its mail account.
func (s *signed) companys(user string, set ...string) *agent.Phone {
	s.Helper()
	p, err := agent.New(agent.Options{
		Dir: s.TempDir(), As: agent.Android, AMAPI: s.g.URL(), CA: []*x509.Certificate{s.root, s.front.Certificate()}, Keys: phoneKeys, Now: s.clock.now,
		Story: func(step, text string) { s.Log(user, "phone:", step, text) },
	})
	must(s.T, err)
	s.Cleanup(p.Close)
	must(s.T, p.Set(append(set, "owner=company", "fresh=yes")...))
	must(s.T, p.Enroll(s.Context(), s.invite(adminapi.InvitationRequest{User: user, Ownership: "corporate"}).URL))
	must(s.T, p.Set("passcode=on"))
	settledPhone(s.T, p, "mail", func(shot agent.Snapshot) bool { return len(shot.Accounts) == 1 })
	return p
}

// plugin waits for a certificate that is not that one.
func (s *signed) plugin(p *agent.Phone, before string) agent.ShownCertificate {
	s.Helper()
	settledPhone(s.T, p, "a certificate", func(shot agent.Snapshot) bool {
		return len(shot.Certificates) == 1 && shot.Certificates[0].SHA256 != before && shot.Accounts[0].Presents == shot.Certificates[0].SHA256
	})
	return s.onPhone(p)
}

// TestKnoxStory: a Samsung phone of the company gets its certificate with no app of
// anybody's, keeps the account when it is renewed, and is shut out without it.
func TestKnoxStory(t *testing.T) {
	t.Parallel()
	s := plugged(t)
	p := s.companys(alice, "maker=samsung")
	first := s.plugin(p, "")
	if !strings.Contains(first.Subject, "CN="+alice) {
		t.Errorf("subject %s", first.Subject)
	}
	s.asks(p, access.Allow)
	for range 3 { // the challenge stays what it was: nothing is fetched twice
		must(t, s.app.Pass(t.Context()))
		must(t, p.Connect(t.Context()))
	}
	if again := s.onPhone(p); again.SHA256 != first.SHA256 {
		t.Error("another certificate, and none was due")
	}

	s.clock.ahead.Add(int64(untilDue))
	must(t, s.app.Pass(t.Context()))
	second := s.plugin(p, first.SHA256)
	s.asks(p, access.Allow)
	s.stands("the new certificate", second.SHA256, "valid")
	s.stands("the one before", first.SHA256, "revoked superseded")
	if n := show(t, p).Recreated; n != 0 {
		t.Errorf("%d accounts made anew", n)
	}

	s.post("/api/v1/certificates/"+second.SHA256+"/revoke", adminapi.RevokeRequest{}, &adminapi.Revoked{})
	s.asks(p, access.Block)
	third := s.plugin(p, second.SHA256)
	s.asks(p, access.Allow)
	s.stands("the third", third.SHA256, "valid")
}

// Phones that the plugin does nothing for are as they are without it.
func TestKnoxLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	s := plugged(t)
	for user, p := range map[string]*agent.Phone{
		alice: s.companys(alice),             // not of Samsung's
		bob:   s.phone(bob, "maker=samsung"), // a person's own
	} {
		must(t, p.Connect(t.Context()))
		shot := show(t, p)
		if len(shot.Certificates) != 0 || shot.Accounts[0].Certificate {
			t.Errorf("%s: %+v, %+v", user, shot.Certificates, shot.Accounts)
		}
	}
}
