package app

import (
	"context"
	"log/slog"

	"sallyport/internal/audit"
	"sallyport/internal/server/limit"
)

// refusalBurst is how many refusals of one address or phone the trail takes at
// once. An honest phone comes nowhere near.
const refusalBurst = 50

// trail is the audit log for rooms that answer strangers. A refusal costs its
// sender nothing and us a row that can never be deleted: whoever sends rubbish
// without end would fill the disk. So one who has had a share of the trail is
// refused as before, and only the log says so. Everything else is always written.
type trail struct {
	audit.Log
	refusals *limit.Limiter // by actor
	log      *slog.Logger
}

// Append implements audit.Log.
func (t *trail) Append(ctx context.Context, e audit.Entry) error {
	if e.Outcome == audit.Refused && !t.refusals.Allow(e.Actor) {
		t.log.WarnContext(ctx, "refusal left out of the audit trail: too many of them",
			slog.String("actor", e.Actor), slog.String("action", e.Action))
		return nil
	}
	return t.Log.Append(ctx, e)
}

// strangers is the trail for what answers strangers.
func (a *App) strangers() *trail {
	one, all := limit.Rate{PerSecond: 0.5, Burst: refusalBurst}, limit.Rate{PerSecond: 20, Burst: 500}
	return &trail{Log: a.db.Audit(), refusals: limit.New(one, all, a.now), log: a.room("audit")}
}
