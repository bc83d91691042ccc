package enroll

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// amapiDomain names Google's API in an ErrorChain.
const amapiDomain = "AndroidManagement"

// Done implements android.Admitter.
func (a *Androids) Done(ctx context.Context, o android.Outcome) error {
	known, err := a.Operations.OperationByName(ctx, o.Operation)
	if errors.Is(err, ErrNotFound) {
		return refusal.New(android.ErrUnknownOperation, "", "no command of ours is on record under this operation", "")
	}
	if err != nil {
		return fmt.Errorf("look up operation: %w", err)
	}
	if !o.Done {
		return nil
	}
	if o.Cancelled {
		if err := a.cancelled(ctx, known); err != nil {
			return err
		}
	}
	if err := a.answer(ctx, known.EnrollmentID, known.CommandID, o.Error, o.Result); err != nil {
		return err
	}
	return a.request(ctx, []mdm.EnrollmentID{known.EnrollmentID}) // an act of several commands may be over
}

// answer notes what became of a command; failure is empty where it was done, told
// is what the phone answered in words. It is Google who says so, of a phone that may
// be off for long, too: when a phone came last its reports tell.
func (a *Androids) answer(ctx context.Context, id mdm.EnrollmentID, command mdm.CommandID, failure, told string) error {
	c := mdm.Contact{At: a.now(), Status: mdm.StatusAcknowledged, CommandID: command, Result: secret.New(told), Absent: true}
	if failure != "" {
		c.Status, c.Errors = mdm.StatusError, []mdm.ErrorItem{{Domain: amapiDomain, Description: failure}}
	}
	if err := a.Service.Plans.SaveContact(ctx, id, c); err != nil {
		return fmt.Errorf("save outcome of command %s: %w", command, err)
	}
	return nil
}
