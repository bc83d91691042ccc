package app

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/enroll"
	"sallyport/internal/cms"
)

// buildWatch wires what knows when certificates end.
func (a *App) buildWatch(r *rooms, signer func() cms.Identity) *enroll.Watch {
	return &enroll.Watch{
		Authority: r.authority, Lists: r.crls, Phones: a.db.Renewals(),
		Signer: func() *x509.Certificate { return signer().Certificate },
		Server: func() *x509.Certificate { return a.tls.current.Load().Leaf },
		Now:    a.now, Log: a.room("certificates"),
	}
}

// endingsTime bounds what a scrape may wait for the database.
const endingsTime = 5 * time.Second

var (
	ownExpiry = prometheus.NewDesc("sallyport_certificate_expiry_timestamp_seconds", "When a certificate of our own ends.", []string{"role", "state", "fingerprint"}, nil)
	ownLeft   = prometheus.NewDesc("sallyport_certificate_left_seconds", "How long a certificate of our own is still good.", []string{"role", "state", "fingerprint"}, nil)
	crlNext   = prometheus.NewDesc("sallyport_crl_next_update_timestamp_seconds", "Until when the revocation list of an issuing certificate is good.", []string{"issuer"}, nil)
	crlSize   = prometheus.NewDesc("sallyport_crl_revoked", "Certificates on the revocation list of an issuing certificate.", []string{"issuer"}, nil)
	phoneEnds = prometheus.NewDesc("sallyport_identities_ending", "Identities of active enrolments that are good now and end within so many days.", []string{"days"}, nil)
	handEnds  = prometheus.NewDesc("sallyport_certificates_by_hand_ending", "Certificates of devices enrolled by hand that are good now and end within so many days: nothing of ours renews them.", []string{"days"}, nil)
	phoneWait = prometheus.NewDesc("sallyport_identities_waiting", "Active enrolments that were asked to renew an identity, or will be.", nil, nil)
)

// endings tells the metrics.
type endings struct{ watch *enroll.Watch }

// Describe implements prometheus.Collector.
func (e endings) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ownExpiry, ownLeft, crlNext, crlSize, phoneEnds, handEnds, phoneWait} {
		to <- d
	}
}

// Collect implements prometheus.Collector. While the database is away it says nothing.
func (e endings) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), endingsTime)
	defer cancel()
	all, err := e.watch.Endings(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, own := range all.Own {
		gauge(ownExpiry, float64(own.NotAfter.Unix()), own.Role, own.State, own.Fingerprint)
		gauge(ownLeft, own.NotAfter.Sub(e.watch.Now()).Seconds(), own.Role, own.State, own.Fingerprint)
	}
	for _, list := range all.Lists {
		gauge(crlNext, float64(list.NextUpdate.Unix()), list.SubjectKeyID)
		gauge(crlSize, float64(list.Revoked), list.SubjectKeyID)
	}
	gauge(phoneEnds, float64(all.Identities.Within30), "30")
	gauge(phoneEnds, float64(all.Identities.Within7), "7")
	gauge(handEnds, float64(all.Identities.ByHand30), "30")
	gauge(handEnds, float64(all.Identities.ByHand7), "7")
	gauge(phoneWait, float64(all.Identities.Waiting))
}
