package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/cms"
	"sallyport/internal/lapse"
)

// watched is a line of authorities that is about to end, and its lists.
type watched struct {
	*line
	now    time.Time
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	ends   IdentityEndings
	broken error
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{line: newLine(), now: rootedAt.AddDate(0, 0, 20)}
	for i := range w.all {
		w.all[i].NotAfter = w.now.AddDate(3, 0, 0)
		if w.all[i].Fingerprint == "i1" {
			w.all[i].NotAfter = w.now.AddDate(0, 0, 29)
		}
	}
	var err error
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "I"}, NotBefore: rootedAt, NotAfter: w.now.AddDate(0, 0, 6),
		IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, w.key.Public(), w.key)
	if err != nil {
		t.Fatal(err)
	}
	if w.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) Expiring(now time.Time) []certs.AuthorityInfo {
	var list []certs.AuthorityInfo
	for _, a := range w.all {
		if a.State == certs.StateActive {
			a.Advice = "have a new one signed"
			list = append(list, a)
		}
	}
	return list
}

func (w *watched) RA() cms.Identity { return cms.Identity{Certificate: w.ca} }

func (w *watched) CRL(context.Context, string) ([]byte, time.Time, error) {
	next := w.now.Add(24 * time.Hour)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: w.now, NextUpdate: next,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: w.now}}}, w.ca, w.key)
	return der, next, err
}

func (w *watched) CountEndings(context.Context, time.Time) (IdentityEndings, error) {
	return w.ends, w.broken
}

func (w *watched) watch(log *slog.Logger) *Watch {
	one := func() *x509.Certificate { return w.ca }
	return &Watch{Authority: w, Lists: w, Phones: w, Signer: one, Server: one, Now: func() time.Time { return w.now }, Log: log}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.ends = IdentityEndings{Within30: 4, Within7: 2, Waiting: 3}
	e, err := w.watch(nil).Endings(t.Context())
	if err != nil || e.Identities != w.ends {
		t.Fatalf("%+v, %v", e, err)
	}
	stages := map[string]lapse.Stage{}
	for _, own := range e.Own {
		stages[own.Role+" "+own.State] = own.Stage
		// The root that ends in three years cuts nothing short yet.
		wants := own.Role == "issuing" && own.State == "active" || own.State == ""
		if (own.Next != "") != wants {
			t.Errorf("%s %s: next %q", own.Role, own.State, own.Next)
		}
	}
	for role, want := range map[string]lapse.Stage{"issuing active": lapse.Days30, "root active": lapse.Fine, "scep-ra ": lapse.Days7, "server ": lapse.Days7, "profile-signer ": lapse.Days7, "issuing retired": ""} {
		if stages[role] != want {
			t.Errorf("%s: %q, want %q", role, stages[role], want)
		}
	}
	if len(e.Lists) != 3 || e.Lists[0].Revoked != 1 || !e.Lists[0].NextUpdate.Equal(w.now.Add(24*time.Hour)) {
		t.Errorf("lists %+v", e.Lists)
	}
}

func TestEndingsAlarm(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newWatched(t)
	watch := w.watch(slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := watch.Alarm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "a certificate of our own ends"); n != 4 || strings.Contains(log.String(), "identities of phones") {
		t.Errorf("%d alarms:\n%s", n, log.String())
	}
	w.ends.Within7 = 1
	if _, err := watch.Alarm(t.Context()); err != nil || !strings.Contains(log.String(), "identities of phones end within a week") {
		t.Errorf("%v:\n%s", err, log.String())
	}
	w.broken = errors.New("disk on fire")
	if _, err := watch.Alarm(t.Context()); err == nil {
		t.Error("no error while the database is away")
	}
}
