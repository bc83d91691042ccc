package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// begin turns acts that follow from what a phone should have into Sent: from now
// on they cannot be cancelled. A resend has the policy sent whatever Google holds.
func (a *Androids) begin(ctx context.Context, p *AndroidPhone, have Have) error {
	for _, act := range have.Actions {
		if !derived(act.Kind) || act.State != mdm.ActionPending {
			continue
		}
		move := ActionMove{From: []mdm.ActionState{mdm.ActionPending}, To: mdm.ActionSent, At: a.now()}
		err := a.Service.Acts.MoveAction(ctx, act.ID, move, a.Service.actEntry(ctx, "action.send", have.Enrollment, act, move.At))
		if errors.Is(err, ErrConflict) { // cancelled just now: it is looked at again for that
			continue
		}
		if err != nil {
			return fmt.Errorf("begin act %s: %w", act.ID, err)
		}
		if act.Kind == mdm.ActionResend {
			p.Sent.Hash, p.Sent.Assigned = "", false
		}
	}
	return nil
}

// mailPackages are the apps on Android that we set up mail in.
func mailPackages() []string {
	return []string{string(managedconfig.GmailPackage), string(managedconfig.OutlookPackage), string(managedconfig.SamsungPackage), string(managedconfig.NinePackage)}
}

// clears are the apps whose data an act takes: a mail app keeps what it has
// fetched when its account is set up elsewhere or goes.
func clears(act mdm.Action, p AndroidPhone, r mdm.Report) []string {
	if act.Kind != mdm.ActionResend && act.Kind != mdm.ActionSelectiveWipe {
		return nil
	}
	return slices.DeleteFunc(mailPackages(), func(name string) bool {
		sent := slices.ContainsFunc(p.Sent.Mail, func(m AndroidMail) bool { return m.Package == name })
		there := r.Applications != nil && slices.ContainsFunc(r.Applications.Items, func(app mdm.ApplicationOnFile) bool { return app.Identifier == name })
		return !sent && !(there && act.Kind == mdm.ActionSelectiveWipe)
	})
}

// cleared is the command by which an app was cleared for an act; false when it
// was not told to.
func cleared(act mdm.Action, name string, have Have) (mdm.Command, bool) {
	for _, c := range have.Commands { // newest first
		if c.RequestType == string(android.ClearAppData) && c.Subject == name && !c.SentAt.Before(act.RequestedAt) {
			return c, true
		}
	}
	return mdm.Command{}, false
}

// clear has the data of mail apps removed, each once for an act.
func (a *Androids) clear(ctx context.Context, api AndroidAPI, p *AndroidPhone, have Have) error {
	target := android.Target{Name: p.Name, Ownership: have.Enrollment.Ownership}
	for _, act := range have.Actions {
		for _, name := range clears(act, *p, have.Report) {
			row, told := cleared(act, name, have)
			if told && row.State != mdm.Sent {
				continue
			}
			if err := a.tellToClear(ctx, have, &row, name); errors.Is(err, errGone) {
				continue
			} else if err != nil {
				return err
			}
			command := android.Command{Type: android.ClearAppData, Packages: []string{name}, TTL: act.ExpiresAt.Sub(a.now())}
			if err := a.issue(ctx, api, target, row, command); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellToClear makes the row of the command unless there is one; errGone when
// Google has it already.
func (a *Androids) tellToClear(ctx context.Context, have Have, row *mdm.Command, name string) error {
	if row.ID != "" {
		_, err := a.Operations.OperationOf(ctx, row.ID)
		switch {
		case err == nil:
			return errGone
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("look up operation of command %s: %w", row.ID, err)
		}
		row.EnrollmentID = have.Enrollment.ID
		return nil
	}
	*row = mdm.Command{
		ID: newCommandID(), EnrollmentID: have.Enrollment.ID, RequestType: string(android.ClearAppData), Subject: name, State: mdm.Sent, SentAt: a.now(),
	}
	if err := a.Service.Plans.SaveCommand(ctx, *row, nil); err != nil {
		return fmt.Errorf("save command for enrolment %s: %w", row.EnrollmentID, err)
	}
	return nil
}

// settle ends the acts that follow from what a phone should have: it has applied
// the policy, and its mail apps were cleared.
func (a *Androids) settle(ctx context.Context, p AndroidPhone, have Have) error {
	for _, act := range have.Actions {
		if !derived(act.Kind) || act.State != mdm.ActionSent {
			continue
		}
		state, reason := androidSettled(act, p, have)
		if state == "" {
			continue
		}
		if err := a.Service.moveAct(ctx, have.Enrollment, act, state, reason); err != nil {
			return err
		}
	}
	return nil
}

// androidSettled says whether an act has come to its end by what we know.
func androidSettled(act mdm.Action, p AndroidPhone, have Have) (mdm.ActionState, string) {
	if act.Kind == mdm.ActionResend && len(p.Sent.Mail) == 0 && have.Enrollment.Withheld != mdm.WithholdEverything {
		return mdm.ActionFailed, "there is no mail account to send: no template is assigned to the user, or none can be made"
	}
	said := have.Report.Policy
	if said == nil || said.Applied != p.Sent.Name || said.Version < p.Sent.Version {
		return "", ""
	}
	var failed []string
	for _, name := range clears(act, p, have.Report) {
		c, told := cleared(act, name, have)
		switch {
		case !told || c.State == mdm.Sent:
			return "", ""
		case c.State == mdm.Failed:
			failed = append(failed, name+": "+c.Error)
		}
	}
	if len(failed) > 0 {
		return mdm.ActionFailed, "the data of a mail app may still be there: " + strings.Join(failed, "; ")
	}
	return mdm.ActionAcknowledged, ""
}
