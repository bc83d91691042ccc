package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/logkey"
	"sallyport/internal/work"
)

// buildAccess wires what decides about mailboxes.
func (a *App) buildAccess(cfg config.Config, verdicts *compliance.Service) *access.Engine {
	books := a.db.Access()
	return &access.Engine{
		Source: books, Events: a.db.Outbox(), Register: books, Verdicts: verdicts,
		MaxStale: cfg.AccessMaxStale, Commits: a.commits.Load, Why: func(id access.DeviceID) string { return a.rooms.links.Why(id) }, Now: a.now, Log: a.room("access"),
	}
}

// committed is called after every commit that wrote events, by whichever server.
func (a *App) committed() {
	a.commits.Add(1)
	a.wake.Notify()
}

const (
	followEvery = 2 * time.Second // what another server wrote, and that the database still answers
	flushEvery  = 2 * time.Second
	lastFlush   = 5 * time.Second
)

// follower keeps this server's decisions up to date. Unlike the consumers of the
// outbox that servers share, each has its own, and its cursor is in memory.
func (a *App) follower() work.Consumer {
	return work.Consumer{Name: "decisions", Every: followEvery, Step: a.rooms.access.Follow}
}

// ownWork is what else every server does for itself.
func (a *App) ownWork() []work.Consumer {
	return []work.Consumer{
		{Name: "contacts", Every: flushEvery, Step: a.rooms.access.Flush},
		{Name: "tokens in use", Every: auth.RefreshEvery, Step: a.rooms.tokens.Refresh},
	}
}

// flush writes what is left to be written of decisions before the server stops.
func (a *App) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastFlush)
	defer cancel()
	for more := true; more; {
		var err error
		if more, err = a.rooms.access.Flush(ctx); err != nil {
			a.log.WarnContext(ctx, "last contacts not written", slog.Any(logkey.Error, err))
			return
		}
	}
}

var (
	decisionsMade = prometheus.NewDesc("sallyport_access_decisions_total", "Decisions by what they said, and the step that decided.", []string{"decision", "step"}, nil)
	setPeople     = prometheus.NewDesc("sallyport_access_set_people", "People in the decision set.", nil, nil)
	setDevices    = prometheus.NewDesc("sallyport_access_set_devices", "Mail clients on record in the decision set.", nil, nil)
	setAge        = prometheus.NewDesc("sallyport_access_set_age_seconds", "How long ago the database confirmed the decision set.", nil, nil)
	notesDropped  = prometheus.NewDesc("sallyport_access_notes_dropped_total", "Denials and contacts that were never written, as the database was away.", []string{"kind"}, nil)
)

// decisions tells the metrics. It needs no database.
type decisions struct{ engine *access.Engine }

// Describe implements prometheus.Collector.
func (d decisions) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{decisionsMade, setPeople, setDevices, setAge, notesDropped} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (d decisions) Collect(to chan<- prometheus.Metric) {
	s := d.engine.Stats()
	for _, c := range s.Decisions {
		to <- prometheus.MustNewConstMetric(decisionsMade, prometheus.CounterValue, float64(c.N), string(c.Effect), string(c.Step))
	}
	to <- prometheus.MustNewConstMetric(setPeople, prometheus.GaugeValue, float64(s.People))
	to <- prometheus.MustNewConstMetric(setDevices, prometheus.GaugeValue, float64(s.Devices))
	to <- prometheus.MustNewConstMetric(setAge, prometheus.GaugeValue, s.Age.Seconds())
	for kind, n := range map[string]uint64{"denial": s.DroppedDenials, "contact": s.DroppedSightings} {
		to <- prometheus.MustNewConstMetric(notesDropped, prometheus.CounterValue, float64(n), kind)
	}
}
