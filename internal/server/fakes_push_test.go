package server

import (
	"context"
	"time"

	"sallyport/enroll"
	"sallyport/internal/lapse"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

// pushFake has a push certificate that ends soon.
type pushFake struct{ w *world }

func (f pushFake) Status(context.Context) (enroll.PushStatus, error) {
	return enroll.PushStatus{
		Ready: true, Stage: lapse.Days30, DaysLeft: 29, Topic: "com.apple.mgmt.External.0d6f1c1e", Serial: "1f", Issuer: "Example CA",
		NotBefore: noon.AddDate(-1, 0, 29), NotAfter: noon.AddDate(0, 0, 29), RequestedAt: noon,
		Phones: enroll.PushPhones{Active: 3, Reachable: 2, PollOnly: 1, LastPushAt: noon},
		Works:  []string{"waking phones"}, Lacks: []string{"a renewed push certificate"}, Next: "renew it",
	}, f.w.did(false)
}

func (f pushFake) Request(context.Context) ([]byte, error) {
	return []byte("-----BEGIN CERTIFICATE REQUEST-----\n"), f.w.did(true)
}

func (f pushFake) Import(ctx context.Context, in enroll.PushImport) (enroll.PushStatus, error) {
	s, err := f.Status(ctx)
	if err == nil {
		err = f.w.did(!in.DryRun)
	}
	return s, err
}

func (f pushFake) Send(context.Context, mdm.DeviceID) (apns.Result, error) {
	return apns.Result{Outcome: apns.Later, Status: 503, Reason: "ServiceUnavailable", RetryAfter: time.Minute}, f.w.did(true)
}
