package server

import (
	"context"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func act(kind mdm.ActionKind) mdm.Action {
	return mdm.Action{ID: "a1", EnrollmentID: "e1", Kind: kind, State: mdm.ActionPending, RequestedBy: "Dana Admin", RequestedAt: noon,
		ExpiresAt: noon.AddDate(0, 0, 7), CommandID: "C1", SentAt: noon,
		Parameters: mdm.ActionParameters{Message: "Lost", Raw: []byte(canary)}, Result: secret.New(canary)}
}

// Order refuses a wipe of the one device there is: it is personal.
func (f enroller) Order(_ context.Context, r enroll.OrderRequest) (mdm.Action, enroll.ActionPlan, error) {
	plan := enroll.ActionPlan{Device: "Alice's iPhone", Commands: []enroll.PlannedCommand{{RequestType: "DeviceLock"}}, Effects: []string{"It locks."}}
	if err := f.w.did(!r.DryRun); err != nil {
		return mdm.Action{}, plan, err
	}
	if r.Kind == mdm.ActionWipe {
		refused := refusal.New(enroll.ErrAction, "kind", "a personal device is never erased", "order retire")
		plan.Refused = refusal.List{refused}
		if !r.DryRun {
			return mdm.Action{}, plan, refused
		}
	}
	ordered := act(r.Kind)
	if r.Kind == mdm.ActionRename {
		ordered.ID = ""
	}
	return ordered, plan, nil
}

// DeviceAction: a1 is a lock, and a2 a wipe.
func (f enroller) DeviceAction(_ context.Context, device mdm.DeviceID, id mdm.ActionID) (mdm.Action, error) {
	kinds := map[mdm.ActionID]mdm.ActionKind{"a1": mdm.ActionLock, "a2": mdm.ActionWipe}
	if kinds[id] == "" || device != deviceID {
		return mdm.Action{}, enroll.ErrNotFound
	}
	return act(kinds[id]), f.w.did(false)
}

func (f enroller) Actions(context.Context, mdm.DeviceID, directory.Page) ([]mdm.Action, error) {
	return []mdm.Action{act(mdm.ActionCommand)}, f.w.did(false)
}

func (f enroller) Approve(context.Context, mdm.ActionID) (mdm.Action, error) {
	return act(mdm.ActionRetire), f.w.did(true)
}

func (f enroller) Cancel(context.Context, mdm.ActionID) (mdm.Action, error) {
	return act(mdm.ActionLock), f.w.did(true)
}

func (f enroller) Commands(context.Context, mdm.DeviceID, directory.Page) ([]mdm.Command, error) {
	return []mdm.Command{{ID: "C1", EnrollmentID: "e1", RequestType: "InstallProfile", Subject: "p", State: mdm.Failed, Error: "exists",
		Chain: []mdm.ErrorItem{{Code: 21005, Domain: "MCEASErrorDomain", Description: "exists"}}, SentAt: noon, DoneAt: noon}}, f.w.did(false)
}

func (f enroller) SetOwnership(_ context.Context, id mdm.DeviceID, o mdm.Ownership) error {
	if o != mdm.Personal {
		return refusal.New(enroll.ErrAction, "ownership", "only a new enrolment makes it corporate", "invite anew")
	}
	return f.w.did(true)
}

func (f enroller) MailSettings(context.Context, mdm.DeviceID) (enroll.MailSettings, error) {
	return enroll.MailSettings{DeviceID: deviceID, Device: "Alice's iPhone", UPN: alice.UPN, Warnings: []string{"The password is asked once."},
		LeftOut: []enroll.LeftTemplate{{Template: "plain", App: "Gmail", Package: "com.google.android.gm", Winner: "mail", Reason: "Gmail takes one account", Remedy: "raise it"}},
		Android: &enroll.AndroidGiven{Policy: "d-1", Version: 2, Applied: "d-1", AppliedVersion: 1, ReportedAt: noon, Trouble: "Google said no"},
		Profiles: []enroll.MailProfile{{Template: "mail", Identifier: "p", UUID: "U", DisplayName: "Mail", Package: "com.google.android.gm", State: enroll.MailRefused, Reason: "exists", Fix: "remove it",
			Faults:   []*refusal.Error{refusal.New(enroll.ErrInvalid, "host", "is missing", "give one")},
			Accounts: []enroll.MailAccount{{Name: "Mail", Rows: []enroll.MailRow{{Label: "Server", Value: "mail.example.test", Fixed: true}}}}}}}, f.w.did(false)
}

func (f enroller) Held(context.Context, directory.Page) ([]enroll.HeldRow, error) {
	return []enroll.HeldRow{{Enrollment: mdm.Enrollment{ID: "h1", Ownership: mdm.Personal, CreatedAt: noon},
		Device: row().Device, UPN: "mallory@example.test", HolderUPN: alice.UPN}}, f.w.did(false)
}

func (f enroller) AdmitHeld(context.Context, mdm.EnrollmentID) error { return f.w.did(true) }

func (f enroller) RefuseHeld(context.Context, mdm.EnrollmentID) error { return f.w.did(true) }
