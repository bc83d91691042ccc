package app_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

const (
	outage       = 20 * time.Millisecond // before a server that does not answer is asked again
	phoneLives   = 4                     // enrolments of a phone, until its user buys another
	phoneVisits  = 3                     // of a phone to the server in one enrolment, beside those of the enrolment
	ordersAVisit = 3
)

// subscriber is a user with phones, one after the other.
type subscriber struct {
	*killing
	upn    string
	phone  *agent.Phone
	id     string          // the server's, of the phone
	lives  int             // of the phone
	told   int             // commands that were compared with the server's record
	orders map[string]bool // acts acknowledged to us in this enrolment

	label  string          // the newest that was acknowledged
	maybe  map[string]bool // labels that were sent since, without an answer
	number int             // of orders
}

// subscriber lives until the last kill, and then to the end of what it is at.
func (k *killing) subscriber(n int) error {
	s := &subscriber{killing: k, upn: fmt.Sprintf("subscriber-%d@example.test", n)}
	for added := false; !added && k.ctx.Err() == nil; {
		var err error
		if added, err = k.addUser(s.upn); err != nil {
			return err
		}
	}
	for number := 0; ; number++ {
		if err := s.buy(filepath.Join(k.dir, fmt.Sprintf("phone-%d-%d", n, number))); err != nil {
			return err
		}
		for s.lives = 1; s.lives <= phoneLives; s.lives++ {
			if err := s.live(); err != nil || k.over() {
				s.phone.Close()
				return err
			}
			if err := s.phone.Unenroll(k.ctx); err != nil {
				return fmt.Errorf("un-enrol: %w", err)
			}
		}
		s.phone.Close()
	}
}

// buy takes a new phone out of its box.
func (s *subscriber) buy(dir string) (err error) {
	s.phone, err = agent.New(agent.Options{
		Dir: dir, CA: []*x509.Certificate{s.root}, Keys: phoneKeys,
		Retry: agent.Retry{First: outage, Max: 5 * outage, Attempts: 10_000, Total: patience, Request: patience / 4},
	})
	if err != nil {
		return err
	}
	s.id, s.told, s.label, s.maybe = "", 0, "", map[string]bool{}
	s.phones.Add(1)
	return s.phone.Set("supervised=yes") // or it would not be renamed
}

// live is one enrolment: from the invitation to a phone that has everything.
func (s *subscriber) live() error {
	s.orders = map[string]bool{}
	invitation, err := s.invited()
	if err != nil {
		return err
	}
	s.enrolling.Add(1)
	err = s.phone.Enroll(s.ctx, invitation)
	s.enrolling.Add(-1)
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	s.enrolments.Add(1)
	if err := s.know(); err != nil {
		return err
	}
	for range phoneVisits {
		if err := s.visit(); err != nil {
			return err
		}
	}
	if err := s.settle(); err != nil {
		return err
	}
	return s.inspect()
}

// invited asks until an invitation is answered: its address is told only once.
func (s *subscriber) invited() (address string, err error) {
	for address == "" && err == nil && s.ctx.Err() == nil {
		in := adminapi.InvitationRequest{User: s.upn, Ownership: "corporate"}
		_, err = s.write(http.MethodPost, "/api/v1/invitations", in, func(answer []byte) (promise, error) {
			var issued adminapi.IssuedInvitations
			if err := decode(answer, &issued); err != nil || len(issued.Invitations) != 1 {
				return promise{}, fmt.Errorf("invitation: %w, %s", err, answer)
			}
			address = issued.Invitations[0].URL
			return promise{"/api/v1/invitations?limit=1000&user=" + url.QueryEscape(s.upn), issued.Invitations[0].ID}, nil
		})
	}
	return address, err
}

// know finds what the server calls the phone.
func (s *subscriber) know() error {
	shot, err := s.phone.Show()
	if err != nil {
		return err
	}
	var list accessapi.Devices
	if err := s.get("/api/v1/devices?limit=1000&user="+url.QueryEscape(s.upn), &list); err != nil {
		return err
	}
	for _, d := range list.Devices {
		if d.UDID == shot.UDID {
			s.id = d.ID
			return nil
		}
	}
	return fmt.Errorf("the server knows no phone %s of %s: %+v", shot.UDID, s.upn, list.Devices)
}

func (s *subscriber) path(rest string) string { return "/api/v1/devices/" + s.id + rest }

// visit polls while an admin orders acts.
func (s *subscriber) visit() error {
	ordered := make(chan error, 1)
	go func() {
		for range ordersAVisit {
			if err := s.order(); err != nil {
				ordered <- err
				return
			}
			pause(s.ctx, rand.N(30*time.Millisecond))
		}
		ordered <- nil
	}()
	for {
		if err := s.poll(); err != nil {
			<-ordered
			return err
		}
		select {
		case err := <-ordered:
			return err
		default:
		}
	}
}

// poll lets the owner unlock the phone, and the phone call its server.
func (s *subscriber) poll() error {
	if err := s.phone.Set("locked=off"); err != nil {
		return err
	}
	s.polling.Add(1)
	err := s.phone.Connect(s.ctx)
	s.polling.Add(-1)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// order has the phone locked, renamed or asked. An act of that kind may still be
// under way, which is a refusal and no write.
func (s *subscriber) order() error {
	s.number++
	in := adminapi.ActionRequest{Kind: string(mdm.ActionLock), Message: fmt.Sprintf("message %d", s.number)}
	switch rand.N(3) {
	case 0:
		in = adminapi.ActionRequest{Kind: string(mdm.ActionRename), Name: fmt.Sprintf("%s %d", s.upn, s.number)}
	case 1:
		in = adminapi.ActionRequest{Kind: string(mdm.ActionQuery), Query: "InstalledApplicationList"}
	}
	status, answer, err := s.ask(s.ctx, http.MethodPost, s.path("/actions"), in)
	switch {
	case err != nil:
		s.lost.Add(1)
		if in.Name != "" {
			s.maybe[in.Name] = true
		}
		pause(s.ctx, outage)
		return nil
	case status == http.StatusConflict:
		return nil
	case status/100 != 2:
		return fmt.Errorf("order %s: %d %s", in.Kind, status, answer)
	}
	var out adminapi.ActionOrdered
	if err := decode(answer, &out); err != nil {
		return err
	}
	if out.Action == nil {
		return fmt.Errorf("order %s: %s", in.Kind, answer)
	}
	if in.Name != "" {
		s.label, s.maybe = in.Name, map[string]bool{}
	}
	s.orders[out.Action.ID] = true
	s.acts.Add(1)
	s.promises.add(promise{s.path("/actions/" + out.Action.ID), out.Action.ID})
	return nil
}

// settle polls until every act is done and the mailbox is open.
func (s *subscriber) settle() error {
	deadline, why := time.Now().Add(patience), ""
	for time.Now().Before(deadline) && s.ctx.Err() == nil {
		err := s.poll()
		if err == nil {
			why, err = s.unsettled()
		}
		if err != nil || why == "" {
			return err
		}
		pause(s.ctx, outage)
	}
	return fmt.Errorf("%s: %s", s.upn, why)
}

// unsettled says what is left to be done. The error says that something went wrong for good.
func (s *subscriber) unsettled() (string, error) {
	var list adminapi.Actions
	if err := s.get(s.path("/actions?limit=1000"), &list); err != nil {
		return "", err
	}
	found := 0
	for _, a := range list.Actions {
		if s.orders[a.ID] {
			found++
		}
		switch state := mdm.ActionState(a.State); {
		case state.Open():
			return fmt.Sprintf("%s is %s", a.Kind, a.State), nil
		case state != mdm.ActionAcknowledged:
			return "", fmt.Errorf("%s of %s is %s: %s", a.Kind, s.upn, a.State, a.Error)
		}
	}
	if found != len(s.orders) {
		return "", fmt.Errorf("%d of %d acknowledged acts are there", found, len(s.orders))
	}
	shot, err := s.phone.Show()
	if err != nil {
		return "", err
	}
	status, answer, err := s.ask(s.ctx, http.MethodPost, "/api/v1/access/decisions",
		access.Client{User: s.upn, DeviceID: shot.EASDeviceID, DeviceType: "iPhone", UserAgent: "Apple-iPhone14C5/2201.1"})
	if err != nil {
		return "the server does not decide", nil // it was killed: ask again
	}
	var decision access.Decision
	if err := decode(answer, &decision); err != nil {
		return "", err
	}
	if status != http.StatusOK || decision.Effect != access.Allow {
		return fmt.Sprintf("the decision is %s", answer), nil
	}
	return "", nil
}

// inspect compares what is on the phone, and what it counts, with the server's record.
func (s *subscriber) inspect() error {
	shot, err := s.phone.Show()
	if err != nil {
		return err
	}
	s.shown.note(shot)
	identities := map[string]int{}
	for _, c := range shot.Certificates {
		if c.Identity {
			identities[c.Profile]++
		}
	}
	var faults []error
	complain := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("phone of %s: "+format, append([]any{s.upn}, args...)...))
		}
	}
	complain(shot.ExecutedTwice != 0, "%d commands carried out twice", shot.ExecutedTwice)
	complain(len(shot.Accounts) != 1, "%d accounts", len(shot.Accounts))
	complain(shot.Recreated != s.lives-1, "in its enrolment number %d, and its account was made anew %d times", s.lives, shot.Recreated)
	complain(len(identities) != 2, "identities of %d profiles, want those of the enrolment and of mail", len(identities))
	for profile, n := range identities {
		complain(n != 1, "%d identities of %s", n, profile)
	}
	var device accessapi.DeviceDetail
	if err := s.get(s.path(""), &device); err != nil {
		return err
	}
	complain(device.Label != s.label && !s.maybe[device.Label], "its label is %q, want %q or one of %v", device.Label, s.label, s.maybe)
	return errors.Join(append(faults, s.recorded(shot))...)
}

// recorded: what the phone carried out since the last time is on record with the
// same outcome, and nothing was handed out that nobody has answered.
func (s *subscriber) recorded(shot agent.Snapshot) error {
	states := map[string]string{}
	for after := ""; ; {
		var page adminapi.Commands
		if err := s.get(s.path("/commands?limit=1000&after="+after), &page); err != nil {
			return err
		}
		for _, c := range page.Commands {
			states[c.ID] = c.State
			if c.State == string(mdm.Sent) {
				return fmt.Errorf("%s %s was handed to the phone of %s, which has told everything", c.RequestType, c.ID, s.upn)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	want := map[string]mdm.CommandState{"Acknowledged": mdm.Acknowledged, "Error": mdm.Failed, "CommandFormatError": mdm.Failed}
	for _, e := range shot.Executed[min(s.told, len(shot.Executed)):] {
		if states[e.CommandUUID] != string(want[e.Status]) {
			return fmt.Errorf("the phone of %s carried out %s %s (%s), which is on record as %q", s.upn, e.RequestType, e.CommandUUID, e.Status, states[e.CommandUUID])
		}
	}
	s.commands.Add(int64(len(shot.Executed) - s.told))
	s.told = len(shot.Executed)
	return nil
}
