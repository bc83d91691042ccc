package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// connectAndroid fetches the newest policy and the commands that wait, does what
// they say, and reports.
func (p *Phone) connectAndroid(ctx context.Context) error {
	if p.s.Android.Managed == nil {
		return ErrNotEnrolled
	}
	if err := p.knowAPI(); err != nil {
		return err
	}
	return p.syncAndroid(ctx)
}

func (p *Phone) syncAndroid(ctx context.Context) error {
	if p.s.Ending != "" { // the phone stopped in the middle of its farewell
		return p.farewell(ctx)
	}
	a := p.s.Android
	var answer syncAnswer
	if err := p.exchange(ctx, syncRequest{Fetch: true}, &answer); err != nil {
		return err
	}
	if answer.Wipe {
		p.tell("deleted", "the device was deleted at Google")
		return p.leaveAndroid(ctx)
	}
	a.Managed.Disabled = answer.State == "DISABLED"
	if err := p.take(answer.Policy); err != nil {
		return err
	}
	for _, c := range answer.Commands {
		if err := p.obeyAndroid(c); err != nil {
			return err
		}
	}
	p.evaluate()
	if err := p.save(); err != nil {
		return err
	}
	if p.s.Ending != "" {
		return p.farewell(ctx)
	}
	if err := p.runCompanion(ctx); err != nil {
		return err
	}
	if err := p.runKnox(ctx); err != nil {
		return err
	}
	if err := p.tellGoogle(ctx, ""); err != nil {
		return err
	}
	p.tell("done", "%s", p.verdict())
	return nil
}

// exchange is one exchange with Google's side; results that it may not have come
// along, and are forgotten when it has them.
func (p *Phone) exchange(ctx context.Context, in syncRequest, out *syncAnswer) error {
	a := p.s.Android
	in.Device, in.Secret, in.Results = a.Managed.Device, a.Managed.Secret, a.Results
	if err := p.standIn(ctx, "device policy", "/phone/sync", in, out); err != nil {
		return err
	}
	if len(a.Results) == 0 {
		return nil
	}
	a.Results = nil
	return p.save()
}

// tellGoogle sends a report; farewell is the notification of a last one.
func (p *Phone) tellGoogle(ctx context.Context, farewell string) error {
	report, err := json.Marshal(p.deviceReport())
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return p.exchange(ctx, syncRequest{Report: report, Farewell: farewell}, &syncAnswer{})
}

// take applies a policy, unless the phone is stuck with the old one.
func (p *Phone) take(policy json.RawMessage) error {
	m := p.s.Android.Managed
	if p.s.Android.Stale && len(m.Policy) > 0 || bytes.Equal(policy, []byte("null")) || len(policy) == 0 {
		return nil
	}
	next, err := readObject(policy)
	if err != nil {
		return fmt.Errorf("policy: %w: %w", ErrProtocol, err)
	}
	if before := m.policy(); str(before, "name") != str(next, "name") || str(before, "version") != str(next, "version") {
		p.tell("policy applied", "%s version %s", lastPart(str(next, "name")), str(next, "version"))
	}
	m.Policy = policy
	return nil
}

// verdict is what Settings would say.
func (p *Phone) verdict() string {
	if n := len(p.s.Android.Managed.Broken); n > 0 {
		return fmt.Sprintf("reported; %d settings of the policy are not kept", n)
	}
	return "reported; the policy is kept"
}

// leaveAndroid ends the management: what it takes along is decided by how the
// phone is managed.
func (p *Phone) leaveAndroid(ctx context.Context) error {
	p.s.Ending = endLeft
	if p.s.Android.Managed.wholePhone() {
		p.s.Ending = endErased
	}
	if err := p.save(); err != nil {
		return err
	}
	return p.farewell(ctx)
}

// farewell tells Google for the last time, at best effort, and removes what
// management brought.
func (p *Phone) farewell(ctx context.Context) error {
	a := p.s.Android
	if a.Farewell != farewellSilent {
		kind := "STATUS_REPORT"
		if a.Farewell == farewellEnrolment {
			kind = "ENROLLMENT"
		}
		if err := p.tellGoogle(ctx, kind); err != nil {
			p.tell("farewell", "not delivered (%v)", err)
		}
	}
	if p.s.Ending == endErased {
		return p.resetAndroid()
	}
	p.s.removeProfile()
	p.tell("work profile removed", "its mail, apps and keys are gone; everything else stays")
	return p.saveAll()
}

// removeProfile leaves all that is not in the work profile.
func (s *state) removeProfile() {
	a := s.Android
	a.Managed, a.Results, a.Keys, a.Mailboxes = nil, nil, nil, nil
	a.Knox = ""
	a.Companion, s.Identities, s.Pending = companion{Failing: a.Companion.Failing}, nil, nil
	a.Removed++
	s.Stage, s.Ending = StageNone, ""
	s.Accounts = keep(s.Accounts, func(a account) bool { return a.Profile == "" })
}

// resetAndroid is a factory reset by the management. That of a phone which
// belongs to a person must never happen: it ends the program.
func (p *Phone) resetAndroid() error {
	if !p.s.Android.Company {
		panic("a whole phone that belongs to a person was wiped")
	}
	p.s.factoryReset()
	p.s.Android.Resets++
	p.s.Erasures++
	p.tell("phone erased", "everything is gone")
	return p.saveAll()
}

// saveAll lets go of keys, too, that nobody needs any more.
func (p *Phone) saveAll() error {
	if err := p.save(); err != nil {
		return err
	}
	return p.disk.forget(p.s)
}

// factoryReset brings the phone to its first screen; its hardware stays what it
// was, and so does what the tester told the program.
func (s *state) factoryReset() {
	old := *s
	fresh := newState(Android)
	fresh.Facts.Serial, fresh.Facts.IMEI, fresh.Facts.Product, fresh.Facts.OS, fresh.Facts.Clock = old.Facts.Serial, old.Facts.IMEI, old.Facts.Product, old.Facts.OS, old.Facts.Clock
	fresh.Facts.Passcode = false
	a, b := fresh.Android, old.Android
	a.API, a.Hardware, a.Brand, a.Manufacturer, a.Company, a.Farewell = b.API, b.Hardware, b.Brand, b.Manufacturer, b.Company, b.Farewell
	a.Removed, a.Resets, a.Reboots, a.Fresh = b.Removed, b.Resets, b.Reboots, true
	fresh.Trusted, fresh.Ledger, fresh.Erasures, fresh.Counts, fresh.Recreated = old.Trusted, old.Ledger, old.Erasures, old.Counts, old.Recreated
	fresh.Stage = StageNone
	*s = *fresh
}

// unenrolAndroid is the owner who removes the work profile in Settings. The
// management of a whole phone cannot be removed like that.
func (p *Phone) unenrolAndroid(ctx context.Context) error {
	a := p.s.Android
	switch {
	case a.Managed == nil:
		return ErrNotEnrolled
	case a.Managed.wholePhone():
		return fmt.Errorf("%w: the phone is managed as the company's: only a factory reset (set fresh=yes) ends that", ErrInvalid)
	}
	p.s.Ending = endLeft
	if err := p.save(); err != nil {
		return err
	}
	return p.farewell(ctx)
}

// AwaitPolicy returns when the stand-in has something for this phone: another
// policy, a command, the end. The phone can be used meanwhile.
func (p *Phone) AwaitPolicy(ctx context.Context) error {
	for {
		address, in, err := p.waitingFor()
		if err != nil {
			return err
		}
		due, err := askDue(ctx, address, in)
		if err != nil || due {
			return err
		}
	}
}

func (p *Phone) waitingFor() (string, waitFor, error) {
	end, err := p.begin()
	if err != nil {
		return "", waitFor{}, err
	}
	defer end()
	if p.s.Android == nil || p.s.Android.Managed == nil {
		return "", waitFor{}, ErrNotEnrolled
	}
	m := p.s.Android.Managed
	applied := m.policy()
	return p.s.Android.API, waitFor{Device: m.Device, Secret: m.Secret, Policy: str(applied, "name"), Version: int64Of(applied, "version"), Seconds: waitSeconds}, nil
}

func askDue(ctx context.Context, address string, in waitFor) (bool, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return false, fmt.Errorf("wait: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/phone/wait", bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("%w: stand-in: %w", ErrInvalid, err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return false, fmt.Errorf("wait: %w: %w", ErrUnreachable, err)
	}
	defer answer.Body.Close()
	var out struct {
		Due bool `json:"due"`
	}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&out) != nil {
		return false, fmt.Errorf("wait: %w with %d", ErrRefused, answer.StatusCode)
	}
	return out.Due, nil
}
