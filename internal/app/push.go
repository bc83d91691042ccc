package app

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/enroll"
	"sallyport/internal/config"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/internal/work"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

// ErrPushRoots says that the file named by apns_ca is of no use.
var ErrPushRoots = errors.New("no root for the push service")

// push is what wakes phones.
type push struct {
	keeper *enroll.Pusher
	client *apns.Client
	waker  *enroll.Waker
	wake   *work.Wake // told when a phone became due
	sent   map[apns.Outcome]*atomic.Int64
	now    func() time.Time
}

// buildPush reads the push certificate and wires what uses it.
func (a *App) buildPush(ctx context.Context, cfg config.Config, placeholder string) (*push, error) {
	roots, err := pushRoots(cfg.APNsCA)
	if err != nil {
		return nil, err
	}
	p := &push{wake: &work.Wake{}, now: a.now, sent: map[apns.Outcome]*atomic.Int64{}}
	for _, o := range apns.Outcomes() {
		p.sent[o] = &atomic.Int64{}
	}
	p.keeper = &enroll.Pusher{
		Keys: a.db.Keys(), Wakes: a.db.Wakes(), Pushes: a.db.Enrollments(), Devices: a.db.Devices(), Sender: p,
		Placeholder: placeholder, Organization: cfg.Organization, Now: a.now, Log: a.room("push"),
	}
	p.client = &apns.Client{URL: cfg.APNsURL, Roots: roots, Identity: p.keeper.Identity, Now: a.now}
	p.waker = &enroll.Waker{
		Wakes: a.db.Wakes(), Sender: p, Topic: p.keeper.Current, Interval: cfg.WakeInterval,
		Notify: p.wake.Notify, Now: a.now, Log: a.room("push"),
	}
	return p, p.keeper.Load(ctx)
}

// pushRoots reads apns_ca; nil means the system's roots.
func pushRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, refusal.New(ErrPushRoots, "apns_ca", err.Error(), "name the ca.pem of the stand-in, or leave it out for Apple's push service")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, refusal.New(ErrPushRoots, "apns_ca", file+" holds no certificate in PEM form", "name the ca.pem of the stand-in, or leave it out for Apple's push service")
	}
	return pool, nil
}

// Push implements enroll.Sender: the client, counted.
func (p *push) Push(ctx context.Context, one mdm.Push) apns.Result {
	r := p.client.Push(ctx, one)
	p.sent[r.Outcome].Add(1)
	return r
}

// Periods of push. What became due is sent at once; the rest is for what
// another process made due, and for the pace.
const (
	pushEvery   = time.Second
	silentEvery = time.Minute
	alarmEvery  = 24 * time.Hour
)

// pushers are woken by push.wake, not by every commit: most of them make no
// phone due.
func (p *push) pushers() []work.Consumer {
	return []work.Consumer{{Name: "push", Every: pushEvery, Step: p.waker.Step}}
}

func (p *push) periodic() []work.Consumer {
	return []work.Consumer{
		{Name: "silent phones", Every: silentEvery, Step: p.waker.Silent},
		{Name: "push certificate", Every: alarmEvery, Step: p.keeper.Alarm},
	}
}

// pushChanged tells the command line on this machine what is still missing.
func (a *App) pushChanged() {
	if err := a.pin(); err != nil {
		a.log.Warn("server file not renewed", slog.Any(logkey.Error, err))
	}
}

var (
	pushExpiry = prometheus.NewDesc("sallyport_push_certificate_expiry_timestamp_seconds", "When the push certificate ends; absent without one.", nil, nil)
	pushLeft   = prometheus.NewDesc("sallyport_push_certificate_left_seconds", "How long the push certificate is still good; absent without one.", nil, nil)
	pushSent   = prometheus.NewDesc("sallyport_pushes_total", "Pushes by outcome.", []string{"outcome"}, nil)
	pushPhones = prometheus.NewDesc("sallyport_push_phones", "Active enrolments by what push can do for them.", []string{"state"}, nil)
	pushDue    = prometheus.NewDesc("sallyport_push_due", "Phones that wait to be woken.", nil, nil)
)

// Describe implements prometheus.Collector.
func (p *push) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pushExpiry, pushLeft, pushSent, pushPhones, pushDue} {
		to <- d
	}
}

// Collect implements prometheus.Collector. While the database is away it says
// what it knows without.
func (p *push) Collect(to chan<- prometheus.Metric) {
	for _, o := range apns.Outcomes() {
		to <- prometheus.MustNewConstMetric(pushSent, prometheus.CounterValue, float64(p.sent[o].Load()), string(o))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := p.keeper.Status(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(pushDue, float64(s.Phones.Due))
	for state, n := range map[string]int{
		"reachable": s.Phones.Reachable, "poll_only": s.Phones.PollOnly, "other_topic": s.Phones.OtherTopic, "dead": s.Phones.Dead,
	} {
		gauge(pushPhones, float64(n), state)
	}
	if s.Stage != "" {
		gauge(pushExpiry, float64(s.NotAfter.Unix()))
		gauge(pushLeft, s.NotAfter.Sub(p.now()).Seconds())
	}
}
