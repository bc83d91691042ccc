package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/internal/secret"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// renewalScenarios are about identities that follow each other: a year passes, and
// nobody is asked for anything.
var renewalScenarios = []scenario{
	{name: "both identities renewed", play: bothRenewed, own: true},
	{name: "mail identity renewed alone", play: mailRenewed, own: true},
	{name: "management's identity renewed alone", play: managementRenewed, own: true},
	{name: "identities renewed though the phone declined at first", play: renewedAfterNotNow, own: true},
	{name: "renewal with every answer lost", play: renewedWithLostAnswers, own: true},
	{name: "certificate lost on its way", play: certificateLost, own: true},
	{name: "new identity never used", play: successorUnused, own: true},
	{name: "phone restored from before its renewal", play: restoredBeforeRenewal, own: true},
	{name: "expired before the phone came back", play: expiredMeanwhile, own: true},
	{name: "nothing renewed while the mail is withheld", play: withheldRenewal, own: true},
	{name: "made personal, and the right to erase goes", play: rightsGo},
	{name: "another root is told to every phone", play: rootTold, own: true},
	{name: "renewed on two servers", play: renewedByAnotherServer},
}

// untilDue is more than 5/6 of a year: by then every identity of the first day is
// due. What is left is more than a month.
const untilDue = 310 * 24 * time.Hour

// lasting gives the scene a token that outlives its identities.
func (s *scene) lasting() {
	s.Helper()
	var issued adminapi.TokenIssued
	s.post("/api/v1/tokens", adminapi.TokenRequest{Role: "admin", Owner: "two years of " + s.user, TTL: "17000h"}, &issued)
	s.client.local.Token = secret.New(issued.Text)
}

// identities are the phone's certificates: of its management, and of its mail.
func (s *scene) identities(p *agent.Phone) (own, mail string) {
	s.Helper()
	for _, c := range show(s.T, p).Certificates {
		switch {
		case !c.Identity:
		case strings.HasPrefix(c.Profile, "sallyport.mail."):
			is(s, "mail identity", mail, "")
			mail = c.SHA256
		default:
			is(s, "identity of the management", own, "")
			own = c.SHA256
		}
	}
	return own, mail
}

// standing is what the server says of a certificate.
func (s *scene) standing(sha256 string) string {
	s.Helper()
	var found adminapi.CertificateDetail
	s.call(http.MethodGet, "/api/v1/certificates/"+sha256, "", nil, &found)
	if found.Certificate.Reason != "" {
		return found.Certificate.State + " " + found.Certificate.Reason
	}
	return found.Certificate.State
}

// quiet: nothing of it was noticed by anybody.
func (s *scene) quiet(p *agent.Phone) {
	s.Helper()
	shot := show(s.T, p)
	is(s, "accounts made", shot.AccountsMade, 1)
	is(s, "accounts made anew", shot.Recreated, 0)
	is(s, "questions to the owner", shot.Prompts, 0)
	is(s, "messages refused", shot.Refused, 0)
	s.configured(p)
}

// renewed checks who followed whom. Both are on record in any case.
func (s *scene) renewed(what, old, now string, want bool) {
	s.Helper()
	is(s, "another "+what, old != now, want)
	is(s, what, s.standing(now), "valid")
	if want {
		is(s, "the "+what+" before", s.standing(old), "revoked superseded")
	}
}

// follow lets something happen, and checks which identities have followed others.
func (s *scene) follow(p *agent.Phone, own, mail bool, happens func()) {
	s.Helper()
	oldOwn, oldMail := s.identities(p)
	happens()
	newOwn, newMail := s.identities(p)
	s.renewed("identity of the management", oldOwn, newOwn, own)
	s.renewed("mail identity", oldMail, newMail, mail)
}

// later is a connection after some time.
func (s *scene) later(p *agent.Phone, d time.Duration) func() {
	return func() {
		s.Helper()
		s.pass(d)
		s.connect(p)
	}
}

func bothRenewed(s *scene) {
	s.lasting()
	release, err := s.app.KeepCertificates(s.ctx) // of which one is due before the second round
	must(s.T, err)
	defer release()
	p := s.enrol()
	profiles := show(s.T, p).Profiles
	s.follow(p, false, false, s.later(p, 200*24*time.Hour))
	is(s, "installations while nothing is due", s.times(p, "InstallProfile"), 1)
	s.follow(p, true, true, s.later(p, untilDue-200*24*time.Hour))
	is(s, "installations", s.times(p, "InstallProfile"), 3)
	is(s, "another profile", slices.EqualFunc(sorted(profiles), sorted(show(s.T, p).Profiles), func(a, b agent.ShownProfile) bool { return a.Identifier == b.Identifier && a.UUID == b.UUID }), true)
	s.quiet(p)
	is(s, "trail of the first use", len(s.trail("enrollment.identity", s.device(p).Enrollment.ID)), 1)
	s.connect(p)
	is(s, "installations a connection later", s.times(p, "InstallProfile"), 3)
	s.follow(p, true, true, s.later(p, untilDue)) // a second time: nothing is left over from the first
	s.quiet(p)
}

func sorted(list []agent.ShownProfile) []agent.ShownProfile {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b agent.ShownProfile) int { return strings.Compare(a.Identifier, b.Identifier) })
	return list
}

// mailRenewed has a management's identity that is half a year younger than the mail's.
func mailRenewed(s *scene) {
	s.lasting()
	p := s.enrol()
	s.pass(150 * 24 * time.Hour)
	s.personal(p)
	s.connect(p)
	s.follow(p, false, true, s.later(p, untilDue-150*24*time.Hour))
	s.quiet(p)
}

func managementRenewed(s *scene) {
	s.lasting()
	p := s.enrol()
	s.pass(150 * 24 * time.Hour)
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	s.follow(p, true, false, s.later(p, untilDue-150*24*time.Hour))
	s.quiet(p)
}

func renewedAfterNotNow(s *scene) {
	s.lasting()
	p := s.enrol()
	must(s.T, p.Play(agent.Script{NotNow: []agent.Deferral{{RequestType: "InstallProfile", Times: 4}}}))
	for _, wait := range []time.Duration{untilDue, time.Hour} {
		s.follow(p, false, false, s.later(p, wait))
		is(s, "installations", s.times(p, "InstallProfile"), 1)
		s.mail(p, access.Allow) // the old ones are good
	}
	s.follow(p, true, true, s.later(p, time.Hour))
	s.quiet(p)
}

// renewedWithLostAnswers: what the phone says is said again until it is answered,
// with the identity that it has by then.
func renewedWithLostAnswers(s *scene) {
	s.lasting()
	p := s.enrol()
	must(s.T, p.Play(agent.Script{LoseAnswers: 20, RepeatResults: 5}))
	s.follow(p, true, true, func() {
		s.later(p, untilDue)()
		s.connect(p)
	})
	s.quiet(p)
}

// certificateLost: issued, and never arrived: the old identity stays good, and the
// renewal is tried again.
func certificateLost(s *scene) {
	s.lasting()
	p := s.enrol()
	must(s.T, p.Play(agent.Script{LoseReplies: 2}))
	s.follow(p, false, false, s.later(p, untilDue))
	s.mail(p, access.Allow)
	s.follow(p, true, true, s.later(p, 15*time.Minute))
	is(s, "valid certificates of the phone", s.valid(p), 2)
	s.quiet(p)
}

// valid counts the certificates of the phone's enrolment that are good.
func (s *scene) valid(p *agent.Phone) (n int) {
	s.Helper()
	var list adminapi.Certificates
	s.call(http.MethodGet, "/api/v1/certificates?limit=1000", "", nil, &list)
	for _, c := range list.Certificates {
		if c.EnrollmentID == s.device(p).Enrollment.ID && c.State == "valid" {
			n++
		}
	}
	return n
}

// successorUnused: the phone was restored before it could use what it was issued;
// so the old identity is good, and is renewed once more.
func successorUnused(s *scene) {
	s.lasting()
	p := s.enrol()
	own, _ := s.identities(p)
	s.pass(untilDue)
	copied, err := p.Backup()
	must(s.T, err)
	must(s.T, p.Play(agent.Script{LoseResults: 1}))
	s.connect(p) // it has a new identity, and never says a word with it
	must(s.T, p.Restore(copied))
	s.connect(p)
	is(s, "messages refused", show(s.T, p).Refused, 0)
	s.pass(15 * time.Minute)
	s.connect(p)
	nextOwn, _ := s.identities(p)
	s.renewed("identity of the management", own, nextOwn, true)
	s.quiet(p)
}

// restoredBeforeRenewal: the new keys are gone, and the old identities are good for
// nothing any more. The phone is refused and not dismissed; it enrols again.
func restoredBeforeRenewal(s *scene) {
	s.lasting()
	p := s.enrol()
	copied, err := p.Backup()
	must(s.T, err)
	s.pass(untilDue)
	s.connect(p)
	s.quiet(p)
	id := s.device(p).Enrollment.ID
	must(s.T, p.Restore(copied))
	if err := p.Connect(s.ctx); !errors.Is(err, agent.ErrRefused) {
		s.Errorf("got %v, want a refusal that leaves the management alone", err)
	}
	is(s, "phone", show(s.T, p).State, agent.StageEnrolled)
	is(s, "accounts", len(show(s.T, p).Accounts), 1)
	is(s, "enrolment", s.device(p).Enrollment.ID, id)
	told := ""
	for _, e := range s.trail("mdm.token_update", "") {
		told += e.Detail["reason"]
	}
	for _, e := range s.trail("mdm.message", "") {
		told += e.Detail["reason"]
	}
	s.told("the trail", told, "was replaced by a newer one")
	s.pass(25 * time.Hour)
	s.because(p, access.Block, "reported_within", "")
	s.leave(p)
	s.enrolAs(p, s.user)
	s.configured(p)
	is(s, "another enrolment", s.device(p).Enrollment.ID != id, true)
}

// expiredMeanwhile: the phone was away for more than a year.
func expiredMeanwhile(s *scene) {
	s.lasting()
	p := s.enrol()
	s.pass(untilDue)
	s.pass(60 * 24 * time.Hour)
	if err := p.Connect(s.ctx); !errors.Is(err, agent.ErrRefused) {
		s.Errorf("got %v, want a refusal that leaves the management alone", err)
	}
	is(s, "phone", show(s.T, p).State, agent.StageEnrolled)
	s.because(p, access.Block, "identity_certificate", "expired")
	d := s.mail(p, access.Block)
	fix := ""
	for _, r := range d.Reasons {
		fix += r.Fix
	}
	s.told("what is to be done", fix, "must be set up again")
	s.leave(p)
	s.enrolAs(p, s.user)
	s.configured(p)
}

func withheldRenewal(s *scene) {
	s.lasting()
	p := s.enrol()
	own, _ := s.identities(p)
	s.pass(untilDue)
	wiped := s.order(p, adminapi.ActionRequest{Kind: "selective_wipe"})
	s.connect(p)
	is(s, "act", s.act(p, wiped).State, "acknowledged")
	same, gone := s.identities(p)
	is(s, "identity of the management", same, own)
	is(s, "mail identity", gone, "")
	is(s, "installations", s.times(p, "InstallProfile"), 1)
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	nextOwn, nextMail := s.identities(p)
	s.renewed("identity of the management", own, nextOwn, true)
	is(s, "mail identity", s.standing(nextMail), "valid")
	s.configured(p)
}

func (s *scene) personal(p *agent.Phone) {
	s.Helper()
	status := s.call(http.MethodPut, "/api/v1/devices/"+s.device(p).ID+"/ownership", "application/json", []byte(`{"ownership":"personal"}`), nil)
	is(s, "made personal", status, http.StatusNoContent)
	s.settle()
}

// rightsGo: the server refuses to erase it at once; the phone itself once its
// enrolment profile was sent again, at the next contact.
func rightsGo(s *scene) {
	p := s.enrol()
	is(s, "rights", show(s.T, p).Rights, 7999)
	s.personal(p)
	s.refused(p, adminapi.ActionRequest{Kind: "wipe", Confirm: s.device(p).Name}, http.StatusConflict)
	s.follow(p, true, false, func() { s.connect(p) })
	is(s, "rights", show(s.T, p).Rights, 7991)
	s.refused(p, adminapi.ActionRequest{Kind: "wipe", Confirm: s.device(p).Name}, http.StatusConflict)
	s.quiet(p)
	s.connect(p)
	is(s, "installations", s.times(p, "InstallProfile"), 2)
}

// rootTold: a CA under another root is staged, all phones learn of that root, and
// only then may it sign.
func rootTold(s *scene) {
	first, second := s.enrol(), s.phone()
	s.addUser("second-" + s.user)
	s.enrolAs(second, "second-"+s.user)
	imported, root := s.importAuthority()
	activate := "/api/v1/ca/issuing/" + imported + "/activate"
	s.pass(time.Minute)
	step := adminapi.AuthorityStep{}
	s.post(activate, adminapi.StepRequest{DryRun: true}, &step)
	is(s, "phones that do not know the root", step.Untold, 2)
	is(s, "activated too early", s.call(http.MethodPost, activate, "application/json", []byte(`{}`), nil), http.StatusConflict)
	s.follow(first, true, false, func() { s.connect(first) })
	is(s, "roots", roots(show(s.T, first)), 2)
	s.post(activate, adminapi.StepRequest{DryRun: true}, &step)
	is(s, "phones that do not know the root", step.Untold, 1)
	s.connect(second)
	s.post(activate, adminapi.StepRequest{}, &step)
	is(s, "phones that do not know the root", step.Untold, 0)

	// What the new one signs is taken by phones that came before it.
	s.apply(strings.Replace(mailTemplate, "mail.example.test", "mail2.example.test", 1))
	s.connect(first)
	is(s, "account", show(s.T, first).Accounts[0].Host, "mail2.example.test")
	s.quiet(first)
	third, err := agent.New(agent.Options{CA: []*x509.Certificate{root}, Keys: phoneKeys, Now: s.stage.clock.now, HTTP: s.http})
	must(s.T, err)
	s.addUser("third-" + s.user)
	s.enrolAs(third, "third-"+s.user)
	is(s, "roots of a new phone", roots(show(s.T, third)), 2)
	s.pass(time.Minute)
	s.connect(first)
	s.connect(third)
	is(s, "installations", s.times(first, "InstallProfile"), 3)
	is(s, "installations", s.times(third, "InstallProfile"), 1)
}

func roots(shot agent.Snapshot) (n int) {
	for _, c := range shot.Certificates {
		if !c.Identity {
			n++
		}
	}
	return n
}

// renewedByAnotherServer: each message goes to the other of two servers than the one before.
func renewedByAnotherServer(s *scene) {
	s, p, _, other, way := s.onTwo()
	s.lasting()
	way.host, way.turns = strings.TrimPrefix(other.URL(), "https://"), true
	s.follow(p, true, true, s.later(p, untilDue))
	is(s, "trail of the first use", len(s.trail("enrollment.identity", s.device(p).Enrollment.ID)), 1)
	s.quiet(p)
}

// importAuthority makes a corporate CA, and takes an issuing certificate of it in.
// It returns its fingerprint, and the root.
func (s *scene) importAuthority() (fingerprint string, root *x509.Certificate) {
	s.Helper()
	rootKey, issuingKey := newKey(s.T), newKey(s.T)
	root = certify(s.T, "Corporate root", nil, rootKey, rootKey)
	issuing := certify(s.T, "Corporate issuing", root, issuingKey, rootKey)
	key, err := x509.MarshalPKCS8PrivateKey(issuingKey)
	must(s.T, err)
	var chain bytes.Buffer
	for _, c := range []*x509.Certificate{issuing, root} {
		must(s.T, pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	var info certs.AuthorityInfo
	s.post("/api/v1/ca/issuing", adminapi.IssuingImport{
		Chain: chain.String(), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}, &info)
	return info.Fingerprint, root
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func certify(t testing.TB, name string, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(8, 0, 0),
	}
	if parent == nil {
		parent = template
	} else {
		template.MaxPathLenZero = true
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}
