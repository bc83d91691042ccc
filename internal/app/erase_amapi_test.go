package app_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

// enrolled brings a new phone to its mail, and says which device it is on record
// as; a company's phone by the QR code on the page.
func (g *google) enrolled(c *client, ownership string) (*agent.Phone, string) {
	g.t.Helper()
	known := map[string]bool{}
	for _, d := range c.devices() {
		known[d.ID] = true
	}
	p := g.phone(c, "")
	if ownership == "corporate" {
		must(g.t, p.Set("owner=company", "fresh=yes"))
	}
	must(g.t, p.Enroll(g.t.Context(), c.invite(adminapi.InvitationRequest{User: alice, Ownership: ownership}).URL))
	settledPhone(g.t, p, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	for _, d := range c.devices() {
		if !known[d.ID] {
			return p, d.ID
		}
	}
	g.t.Fatal("the new phone is not on record")
	return nil, ""
}

func (c *client) devices() []accessapi.Device {
	c.t.Helper()
	var list accessapi.Devices
	c.call(http.MethodGet, "/api/v1/devices?limit=1000", "", nil, &list)
	return list.Devices
}

// comes has the phone connect; it may have been let go by now.
func comes(t *testing.T, p *agent.Phone) {
	t.Helper()
	if err := p.Connect(t.Context()); err != nil && !errors.Is(err, agent.ErrNotEnrolled) {
		t.Fatal(err)
	}
}

// TestNeverResets drives every route under every role at a user's own Android
// phone and at a company's that was made personal. Whatever was said, neither is
// reset: at most the work profile goes. The company's own is reset once, after one
// confirmed wipe, and is not made personal while that is on its way.
func TestNeverResets(t *testing.T) {
	t.Parallel()
	g, c := withGoogle(t)
	second, operator := c.as(auth.Admin, "a second admin"), c.as(auth.Operator, "an operator")
	callers := []*client{c, c, c, c, c, second, second, second, second, operator, operator, operator, c.as(auth.Auditor, "an auditor"), c.as(auth.Engine, "a gate"), c.as("", "")}
	rounds, requests := 2, 160
	switch {
	case soaking():
		rounds, requests = 3, 1000
	case testing.Short():
		rounds = 1
	}
	w := newWildcard(t, 3)
	statuses := map[int]int{}
	company, companyID := g.enrolled(c, "corporate")
	for round := range rounds {
		personal, personalID := g.enrolled(c, "personal")
		flipped, flippedID := g.enrolled(c, "corporate")
		if status := c.call(http.MethodPut, "/api/v1/devices/"+flippedID+"/ownership", "application/json", []byte(`{"ownership":"personal"}`), nil); status != http.StatusNoContent {
			t.Fatalf("corporate to personal: status %d", status)
		}
		for n := range requests {
			if n%20 == 0 {
				w.learn(c, personalID, flippedID)
			}
			method, path, contentType, body := w.request()
			statuses[pick(w.r, callers...).call(method, path, contentType, body, nil)]++
			if n%40 == 39 {
				comes(t, personal)
				comes(t, flipped)
			}
		}
		for _, p := range []*agent.Phone{personal, flipped} {
			comes(t, p)
			if s := show(t, p); s.Android.Resets != 0 || s.Erasures != 0 {
				t.Fatalf("round %d: a phone that must never be was reset %d times", round, s.Android.Resets)
			}
		}
	}
	t.Logf("%d requests about erasing on %d routes; answers %v", w.erase, len(w.tried), statuses)
	if statuses[http.StatusCreated] == 0 || statuses[http.StatusConflict] == 0 || statuses[http.StatusForbidden] == 0 {
		t.Errorf("the requests were not wild enough: %v", statuses)
	}
	resetOnce(t, c, company, companyID)
}

func resetOnce(t *testing.T, c *client, p *agent.Phone, id string) {
	t.Helper()
	comes(t, p)
	if s := show(t, p); s.Android.Resets != 0 {
		t.Fatalf("the company's phone was reset %d times before anybody asked for it", s.Android.Resets)
	}
	path := "/api/v1/devices/" + id
	var ordered adminapi.ActionOrdered
	c.post(path+"/actions", adminapi.ActionRequest{Kind: "wipe", DryRun: true}, &ordered)
	c.post(path+"/actions", adminapi.ActionRequest{Kind: "wipe", Confirm: ordered.Plan.Device}, &ordered)
	for act := *ordered.Action; act.State != string(mdm.ActionSent); time.Sleep(20 * time.Millisecond) {
		if !act.DoneAt.IsZero() {
			t.Fatalf("the wipe of the company's phone: %+v", act)
		}
		c.call(http.MethodGet, path+"/actions/"+act.ID, "", nil, &act)
	}
	if status := c.call(http.MethodPut, path+"/ownership", "application/json", []byte(`{"ownership":"personal"}`), nil); status != http.StatusConflict {
		t.Errorf("made personal while a wipe is on its way: status %d, want 409", status)
	}
	settledPhone(t, p, "reset", func(s agent.Snapshot) bool { return s.Android.Resets == 1 })
	comes(t, p)
	if s := show(t, p); s.Android.Resets != 1 {
		t.Errorf("the company's phone was reset %d times, want once", s.Android.Resets)
	}
}
