package enroll

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"sallyport/internal/logkey"
	"sallyport/internal/work"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

const (
	policiesPerStep = 64
	policiesAtOnce  = 8
)

// Handle is the outbox consumer "android": what changed what a phone should have,
// or asks something of it, makes its policy due.
func (a *Androids) Handle(ctx context.Context, e mdm.Event) (did bool, err error) {
	switch e.Kind {
	case mdm.EventEnrolled, mdm.EventAction, mdm.EventIdentity, mdm.EventUserChanged, mdm.EventUserRemoved:
		if e.EnrollmentID == "" {
			return false, nil // nil would mean all of them
		}
		return a.requested(ctx, []mdm.EnrollmentID{e.EnrollmentID})
	case mdm.EventTemplateChange:
		if e.EnrollmentID != "" {
			return a.requested(ctx, []mdm.EnrollmentID{e.EnrollmentID})
		}
		return a.requested(ctx, nil)
	case mdm.EventEnded:
		a.Notify() // the store has made it due
	}
	return false, nil
}

// Step is a step for internal/work: phones that are due are given what they
// should have. Trouble with one is noted with it, and tried again later; nothing
// of it is lost, and the phone stays as it is.
func (a *Androids) Step(ctx context.Context) (more bool, err error) {
	due, err := a.Policies.DuePolicies(ctx, a.now(), policiesPerStep)
	if err != nil || len(due) == 0 {
		return false, err
	}
	e, api, err := a.enterprise(ctx)
	if err != nil {
		return false, err
	}
	var mu sync.Mutex
	var fault error
	var kept []AndroidPhone
	work.Each(len(due), policiesAtOnce, func(i int) {
		mu.Lock()
		stop := fault != nil || ctx.Err() != nil
		mu.Unlock()
		if stop {
			return
		}
		same, err := a.settlePhone(ctx, api, e.Name, due[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			fault = err
		case same:
			kept = append(kept, due[i])
		}
	})
	if len(kept) > 0 && ctx.Err() == nil {
		if err := a.Policies.KeepPolicies(ctx, kept); err != nil {
			return false, fmt.Errorf("note policies that are as they should be: %w", err)
		}
	}
	if fault != nil || ctx.Err() != nil {
		return false, fault
	}
	return len(due) == policiesPerStep, nil
}

// settlePhone brings one phone to where it should be, as far as that goes now. Its
// error is ours: Google's are noted with the phone. same says that nothing had to be
// sent, and that all is still to be noted.
func (a *Androids) settlePhone(ctx context.Context, api AndroidAPI, enterprise string, p AndroidPhone) (same bool, err error) {
	have, err := a.Service.Plans.LoadPlan(ctx, p.EnrollmentID)
	if err != nil {
		return false, fmt.Errorf("load plan of enrolment %s: %w", p.EnrollmentID, err)
	}
	before := p.Sent
	next := time.Time{}
	switch err := a.provide(ctx, api, enterprise, &p, have); {
	case err == nil && reflect.DeepEqual(p.Sent, before):
		return true, a.overtaken(ctx, have.Enrollment)
	case err == nil:
		p.Attempts, p.Error = 0, ""
	case ctx.Err() != nil:
		return false, nil // our own end is nothing to note of a phone
	case errors.Is(err, errKept):
		p.Attempts, p.Error = 0, err.Error()
		a.log().WarnContext(ctx, "android policy is left as it is", logkey.Enrollment, p.EnrollmentID, logkey.Error, err)
	case !googles(err):
		return false, err
	default:
		next = a.now().Add(androidBackOff(p.Attempts, err))
		p.Attempts, p.Error = p.Attempts+1, err.Error()
		a.log().WarnContext(ctx, "android phone was not provided for", logkey.Enrollment, p.EnrollmentID,
			"attempts", p.Attempts, "again_at", next, logkey.Error, err)
	}
	if err := a.Policies.SavePolicy(ctx, p, next); err != nil {
		return false, fmt.Errorf("save policy of enrolment %s: %w", p.EnrollmentID, err)
	}
	return false, a.overtaken(ctx, have.Enrollment)
}

// overtaken does what a report leads to that came before it was noted what Google
// had taken: a phone may be faster than we are, and tells no second time.
func (a *Androids) overtaken(ctx context.Context, e mdm.Enrollment) error {
	if e.State != mdm.Enrolled {
		return nil
	}
	have, err := a.Service.Plans.LoadPlan(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("load plan of enrolment %s: %w", e.ID, err)
	}
	if !have.Enrollment.State.Active() {
		return nil
	}
	_, err = a.confirm(ctx, have)
	return err
}

// googles reports whether an error is a refusal of Google's, or the lack of an answer.
func googles(err error) bool {
	problem := (*android.Problem)(nil)
	return errors.As(err, &problem)
}

// provide carries out acts, and gives the phone its policy.
func (a *Androids) provide(ctx context.Context, api AndroidAPI, enterprise string, p *AndroidPhone, have Have) error {
	switch {
	case have.Enrollment.State.Ended():
		return a.dismiss(ctx, api, enterprise, p)
	case !have.Enrollment.State.Active():
		return nil // held: it keeps the policy without mail until somebody decides
	}
	over, err := a.carryOut(ctx, api, p, have)
	if err != nil || over {
		return err
	}
	if have, err = a.noteKnox(ctx, have); err != nil {
		return err
	}
	want, err := a.Service.androidWanted(ctx, have, *p)
	if err != nil {
		return err
	}
	if err := a.Service.mintKnox(ctx, have, want.knox); err != nil {
		return err
	}
	if err := a.begin(ctx, p, have); err != nil {
		return err
	}
	kept, err := a.sendAny(ctx, api, enterprise, p, want)
	if err != nil {
		return err
	}
	if err := a.clear(ctx, api, p, have); err != nil {
		return err
	}
	return errors.Join(a.settle(ctx, *p, have), kept, want.kept)
}

// sendAny is send, and where Google refuses the policy as it is, send without the
// companion app: mail waits for no key. kept says so.
func (a *Androids) sendAny(ctx context.Context, api AndroidAPI, enterprise string, p *AndroidPhone, want androidWant) (kept, err error) {
	err = a.send(ctx, api, enterprise, p, want)
	problem := (*android.Problem)(nil)
	taken := p.Sent.Hash == want.policy.Hash() // then it is the phone that was not told
	if want.bare.IsZero() || taken || !errors.As(err, &problem) || problem.Retry || problem.Caller {
		return nil, err
	}
	kept = fmt.Errorf("%w: Google takes it without the companion app alone: %w", errKept, err)
	want.policy, want.keys, want.knox = want.bare, nil, knoxKey{}
	return kept, a.send(ctx, api, enterprise, p, want)
}
