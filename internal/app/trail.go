package app

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
	"sallyport/internal/server/limit"
)

// refusalBurst is how many refusals of one network, or of one actor that we know,
// the trail takes at once. An honest phone comes nowhere near.
const refusalBurst = 50

// trail is the audit log for rooms that answer strangers. A refusal costs its
// sender nothing and us a row of some 300 bytes that can never be deleted: whoever
// sends rubbish without end would fill the disk. So one who has had a share of the
// trail is refused as before, and only the log and a metric say so. Everything else
// is always written.
type trail struct {
	audit.Log
	strangers *limit.Limiter // refusals by network
	known     *limit.Limiter // refusals by actor: who has shown a token or an identity of ours
	leftOut   *prometheus.CounterVec
	log       *slog.Logger
}

// newTrail makes a trail in front of rows.
//
// A stranger is counted by network: each address of a /64 would else have a share of
// its own. After its burst a network leaves 4,320 rows a day (1.3 MB), an IPv6 site
// four times that, and all strangers together 86,400 (25 MB). It takes five sites,
// or twenty IPv4 addresses, to use that up so that another's refusals drop out; and
// what strangers do takes nothing from the share of those whom we know.
func newTrail(rows audit.Log, now func() time.Time, log *slog.Logger) *trail {
	network, site := limit.Rate{PerSecond: 0.05, Burst: refusalBurst}, limit.Rate{PerSecond: 0.2, Burst: 4 * refusalBurst}
	return &trail{
		Log:       rows,
		strangers: limit.NewBySite(network, site, limit.Rate{PerSecond: 1, Burst: 2000}, now),
		known:     limit.New(limit.Rate{PerSecond: 0.5, Burst: refusalBurst}, limit.Rate{PerSecond: 20, Burst: 500}, now),
		leftOut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_audit_refusals_left_out_total",
			Help: "Refusals that stand in the log alone, as their sender had had its share of the audit trail.",
		}, []string{"action"}),
		log: log,
	}
}

// Append implements audit.Log.
func (t *trail) Append(ctx context.Context, e audit.Entry) error {
	if e.Outcome == audit.Refused && !t.takes(e.Actor) {
		t.leftOut.WithLabelValues(e.Action).Inc()
		t.log.WarnContext(ctx, "refusal left out of the audit trail: too many of them",
			slog.String("actor", e.Actor), slog.String("action", e.Action))
		return nil
	}
	return t.Log.Append(ctx, e)
}

// takes reports whether actor has a share left. A stranger is known by an address
// alone, behind whichever word says how it came: "phone:192.0.2.7".
func (t *trail) takes(actor string) bool {
	_, address, _ := strings.Cut(actor, ":")
	if network, ok := limit.NetworkOf(address); ok {
		return t.strangers.Allow(network)
	}
	return t.known.Allow(actor)
}
