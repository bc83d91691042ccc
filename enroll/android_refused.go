package enroll

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm/android"
)

// refuse turns a phone away that came with a ticket of that invitation. Google tells
// of it again with every report and every list, for good, and a row of the trail is
// never deleted: there is one more only where the newest that names the phone says
// something else, or is older than admitted, when the phone was let in last (zero:
// never).
func (a *Androids) refuse(ctx context.Context, p android.Phone, id InvitationID, admitted time.Time, why string) error {
	refused := unknownPhone(why)
	told, err := a.refusal(ctx, p.Name, id)
	if err != nil {
		return err
	}
	if told.Detail["reason"] == refused.Reason && !told.At.Before(admitted) {
		return refused
	}
	return a.Service.refused(ctx, enrollAction, string(id), refused, "phone", p.Name)
}

// refusal is the newest row of the trail by which a phone was refused for an
// invitation; zero where there is none.
func (a *Androids) refusal(ctx context.Context, phone string, id InvitationID) (audit.Entry, error) {
	var newest audit.Entry
	f := audit.Filter{Target: string(id), Limit: 1000}
	for {
		rows, err := a.Service.Audit.List(ctx, f)
		if err != nil {
			return newest, fmt.Errorf("look up refusals of android phone: %w", err)
		}
		for _, row := range rows {
			if row.Action == enrollAction && row.Outcome == audit.Refused && row.Detail["phone"] == phone {
				newest = row
			}
			f.After = row.ID
		}
		if len(rows) < f.Limit {
			return newest, nil
		}
	}
}

// unknownPhone refuses a device that nothing ties to us.
func unknownPhone(why string) *refusal.Error {
	return refusal.New(android.ErrUnknownPhone, "", "nothing on record leads to this device: "+why, "invite its user, and have it enrol with that invitation")
}
