package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/internal/app"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/mdm/apple/apns"
)

// pushed is a server beside a stand-in for Apple's push service.
type pushed struct {
	*client
	standIn   *agent.PushService
	authority *agent.PushAuthority
}

// startPushed starts both; the server has no push certificate yet.
func startPushed(t *testing.T) *pushed {
	t.Helper()
	dir := t.TempDir()
	authority, err := agent.OpenPushAuthority(filepath.Join(dir, "apns"), nil)
	must(t, err)
	standIn, err := agent.NewPushService(t.Context(), agent.PushServiceOptions{Authority: authority})
	must(t, err)
	data := filepath.Join(dir, "data")
	cfg := testConfig(data, "127.0.0.1:0")
	cfg.APNsURL, cfg.APNsCA = standIn.URL(), filepath.Join(dir, "apns", "ca.pem")
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test"})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- a.Run(ctx) }()
	go func() { ended <- standIn.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		must(t, a.Close())
	})
	c := newClient(t, data)
	c.seed()
	return &pushed{client: c, standIn: standIn, authority: authority}
}

// certify takes the server through the portal, as an administrator would, and
// returns what became of the import.
func (p *pushed) certify(another bool, replace int) int {
	p.t.Helper()
	var request adminapi.PushRequest
	p.call(http.MethodPost, "/api/v1/push/csr", "", nil, &request)
	file, _, err := p.authority.Sign([]byte(request.CSR), another)
	must(p.t, err)
	body, err := json.Marshal(adminapi.PushCertificate{Certificate: string(file), ReplaceTopic: replace})
	must(p.t, err)
	return p.call(http.MethodPost, "/api/v1/push/certificate", "application/json", body, nil)
}

func (p *pushed) status() enroll.PushStatus {
	p.t.Helper()
	var s enroll.PushStatus
	p.call(http.MethodGet, "/api/v1/push", "", nil, &s)
	return s
}

func (p *pushed) enrol() *agent.Phone {
	p.t.Helper()
	invitation := p.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"})
	phone := newPhone(p.t, p.t.TempDir(), p.root, "")
	must(p.t, phone.Enroll(p.t.Context(), invitation.URL))
	return phone
}

func (p *pushed) awaits(phone *agent.Phone) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	if err := phone.AwaitPush(ctx, p.standIn.SideURL()); err != nil {
		p.t.Fatalf("no push: %v; the stand-in saw %+v", err, p.standIn.Log())
	}
}

// TestPush is the life of a push certificate: none, imported while the server
// runs, at work, and replaced by one that would lose a phone.
func TestPush(t *testing.T) {
	t.Parallel()
	p := startPushed(t)
	old := p.enrol() // before there is a certificate
	if s := p.status(); s.Ready || s.Phones.PollOnly != 1 || len(s.Lacks) == 0 {
		t.Errorf("without a certificate: got %+v", s)
	}
	if got := p.certify(false, 0); got != http.StatusOK {
		t.Fatalf("import: got %d", got)
	}
	if s := p.status(); !s.Ready || s.Phones.Reachable != 0 || s.Phones.PollOnly != 1 {
		t.Errorf("after the import: got %+v", s)
	}
	must(t, old.Connect(t.Context())) // it goes on polling

	must(t, old.Unenroll(t.Context()))
	phone := p.enrol()
	p.awaits(phone) // for its own enrolment
	must(t, phone.Connect(t.Context()))

	// What an admin changes reaches it.
	policy := strings.Replace(baseline, "24h", "25h", 1)
	p.call(http.MethodPost, "/api/v1/compliance/policies", "application/yaml", []byte(policy), &adminapi.PolicyApplied{})
	p.awaits(phone)

	var list accessapi.Devices
	p.call(http.MethodGet, "/api/v1/devices?eas_device_id="+show(t, phone).EASDeviceID, "", nil, &list)
	var answer adminapi.Pushed
	if got := p.call(http.MethodPost, "/api/v1/devices/"+list.Devices[0].ID+"/push", "", nil, &answer); got != http.StatusOK || answer.Outcome != apns.Accepted {
		t.Errorf("push now: got %d, %+v", got, answer)
	}
	p.awaits(phone)

	if got := p.certify(true, 0); got != http.StatusConflict {
		t.Errorf("another topic: got %d, want 409", got)
	}
	if s := p.status(); s.Phones.Reachable != 1 {
		t.Errorf("after the refusal: got %+v", s.Phones)
	}
	if got := p.certify(false, 1); got != http.StatusOK {
		t.Errorf("another topic, giving one phone up: got %d", got)
	}
	if s := p.status(); s.Phones.Reachable != 0 || s.Phones.OtherTopic != 1 {
		t.Errorf("after that: got %+v", s.Phones)
	}
	must(t, phone.Connect(t.Context())) // by itself it may
	if saw := p.standIn.Log(); len(saw.Remarks) != 0 {
		t.Errorf("the stand-in found wrong: %q", saw.Remarks)
	}
}

// A token that is dead is set aside, and nothing else of the phone changes.
func TestDeadTokenChangesNoEnrolment(t *testing.T) {
	t.Parallel()
	p := startPushed(t)
	if got := p.certify(false, 0); got != http.StatusOK {
		t.Fatalf("import: got %d", got)
	}
	must(t, p.standIn.Script(agent.PushAnswer{Status: http.StatusGone, Timestamp: time.Now().Add(time.Hour).UnixMilli()}))
	phone := p.enrol()
	for deadline := time.Now().Add(time.Minute); p.status().Phones.Dead != 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never set aside: %+v", p.status())
		}
	}
	must(t, phone.Connect(t.Context()))
	if s := p.status(); s.Phones.Active != 1 || s.Phones.Reachable != 0 {
		t.Errorf("got %+v, want the phone as active as before", s.Phones)
	}
}

func TestPushMetrics(t *testing.T) {
	t.Parallel()
	p := startPushed(t)
	if got := p.certify(false, 0); got != http.StatusOK {
		t.Fatalf("import: got %d", got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.local.URL+"/metrics", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+p.local.Token.Reveal())
	answer, err := p.http.Do(r)
	must(t, err)
	defer answer.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(answer.Body)
	must(t, err)
	for _, want := range []string{
		"sallyport_push_certificate_expiry_timestamp_seconds", "sallyport_push_certificate_left_seconds",
		`sallyport_pushes_total{outcome="accepted"} 0`, `sallyport_push_phones{state="reachable"} 0`, "sallyport_push_due 0",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no metric %s", want)
		}
	}
}

func TestPushRootsAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	must(t, os.WriteFile(empty, nil, 0o600))
	for _, file := range []string{empty, filepath.Join(dir, "none.pem")} {
		cfg := testConfig(filepath.Join(dir, "data"), "127.0.0.1:0")
		cfg.APNsCA = file
		if a, err := app.New(t.Context(), cfg, app.Options{}); err == nil {
			must(t, a.Close())
			t.Errorf("%s was taken", file)
		}
	}
}
