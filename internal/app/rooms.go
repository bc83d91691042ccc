package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/certs/scep"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/auth"
	"sallyport/internal/cms"
	"sallyport/internal/config"
	"sallyport/internal/store"
	"sallyport/internal/work"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/templates"
)

// rooms are the services, each with the storage and the neighbours it asked for.
type rooms struct {
	authority  *certs.Authority
	issuer     *certs.Issuer
	smime      *certs.SMIME
	crls       *certs.CRLs
	scep       *scep.Service
	hand       *enroll.HandMinter
	rollover   *enroll.Rollover
	renewer    *enroll.Renewer
	watch      *enroll.Watch
	users      *directory.Service
	templates  *templates.Service
	viewer     *templates.Viewer
	enroll     *enroll.Service
	compliance *compliance.Service
	runs       *work.Wake // told when all phones are to be judged
	access     *access.Engine
	links      access.Links
	publisher  *access.Publisher
	explainer  *access.Explainer
	feed       *access.Feed
	cleaner    *access.Cleaner
	webhooks   *access.Webhooks
	apple      *apple.Service
	android    *androids
	tokens     *auth.Service
	push       *push
	mails      *mails
	trail      *trail
}

// build opens the authority and wires the rooms.
func (a *App) build(ctx context.Context, cfg config.Config, topic string) error {
	chosen := ""
	if cfg.Given("organization") {
		chosen = cfg.Organization
	}
	authority, err := certs.Open(ctx, a.db.Keys(), certs.Options{
		Organization: chosen, CRLURL: httpURL(cfg, a.publicURL, a.bound["listen_http"]), Now: a.now,
	})
	if err != nil {
		return fmt.Errorf("open certificate authority: %w", err)
	}
	cfg.Organization = authority.Organization()
	a.warnings = warnings(cfg, authority.MadeFor())
	signer, err := profileSigner(cfg, authority, a.now())
	if err != nil {
		return err
	}
	macs, err := a.db.MACs(ctx, macPurposes()...)
	if err != nil {
		return err
	}
	trail := newTrail(a.db.Audit(), a.now, a.room("audit"))
	r := &rooms{authority: authority, trail: trail}
	r.issuer = &certs.Issuer{
		Authority: authority, Store: a.db.Certificates(), Renewals: a.db.Certificates(), Revocations: a.db.Certificates(),
		Window: cfg.RenewalWindow, Now: a.now,
	}
	r.crls = &certs.CRLs{Authority: authority, Store: a.db.Certificates(), Now: a.now}
	r.scep = &scep.Service{
		Authority: authority, Issuer: r.issuer, Audit: trail, Legacy: cfg.SCEPLegacy, Now: a.now, Log: a.room("scep"),
	}
	r.users = &directory.Service{Store: a.db.Users(), Now: a.now}
	r.templates = &templates.Service{
		Store: a.db.Templates(), Secrets: a.db.Templates(), Security: a.db.Templates(), Users: a.db.Users(), Now: a.now,
	}
	r.tokens = &auth.Service{Store: a.db.Tokens(), Now: a.now}
	r.smime = a.buildSMIME(authority, r.tokens, trail)
	if r.push, err = a.buildPush(ctx, cfg, topic); err != nil {
		return err
	}
	r.enroll = &enroll.Service{
		Invitations: a.db.Invitations(), Enrollments: a.db.Enrollments(), Plans: a.db.Plans(), Facts: a.db.Plans(), Devices: a.db.Devices(),
		Users: a.db.Users(), Certificates: r.issuer, Templates: a.db.Templates(), Audit: trail,
		Secrets: a.db.Templates(), Security: a.db.Templates(), SMIME: r.smime,
		Acts: a.db.Actions(), History: a.db.Plans(), Holds: a.db.Held(), Pushes: a.db.Enrollments(), Wakes: a.db.Wakes(), Hands: r.tokens,
		Mailboxes: a.db.Access(), AppSchemas: a.db.Android(), MailboxLimit: cfg.MailboxDeviceLimit,
		Renewals: a.db.Renewals(), Root: authority.FirstRoot(), Anchors: authority.Anchors, Signer: signer, MAC: macs.MAC,
		Distrusted: func(issuer string) bool { return enroll.Distrusted(authority.List(), issuer) },
		Topic:      r.push.keeper.Topic,
		PublicURL:  a.publicURL, Organization: cfg.Organization, SecondOwner: cfg.SecondOwner, InquiryMaxAge: cfg.InquiryMaxAge,
		Now: a.now, Log: a.room("enroll"),
	}
	if err := r.enroll.Validate(); err != nil {
		return err
	}
	r.hand = &enroll.HandMinter{
		Users: a.db.Users(), Certificates: r.issuer, Audit: a.db.Audit(), Root: authority.Root, Now: a.now,
		RA:  func() *x509.Certificate { return authority.RA().Certificate },
		URL: httpURL(cfg, a.publicURL, a.bound["listen_http"]) + "/scep",
	}
	r.renewer = &enroll.Renewer{
		Renewals: a.db.Renewals(), Root: newestRoot(authority), Window: cfg.RenewalWindow, Life: identityLife, Now: a.now, Log: a.room("renewal"),
	}
	r.rollover = &enroll.Rollover{Authority: authority, Renewals: a.db.Renewals(), Phones: a.db.Renewals(), Issued: a.db.Certificates(), Now: a.now}
	r.watch = a.buildWatch(r, signer)
	r.viewer = &templates.Viewer{Templates: r.templates, Phones: r.enroll, SMIME: r.smime, Options: r.enroll.RenderOptions()}
	r.compliance, r.runs = a.buildCompliance(r.enroll)
	r.access = a.buildAccess(cfg, r.compliance)
	r.links = access.Links{Base: a.publicURL, MAC: macs.MAC}
	r.publisher = a.buildPublisher(r.links)
	r.explainer = &access.Explainer{Engine: r.access, Denials: a.db.Access()}
	r.feed = &access.Feed{Store: a.db.Access(), Until: r.access.Until}
	r.cleaner = &access.Cleaner{Store: a.db.Access(), Denials: cfg.AccessDenialsKeep, Audit: a.db.Audit(), Now: a.now}
	r.webhooks = a.buildWebhooks(cfg.WebhookPrivate)
	if r.mails, err = a.buildMails(cfg, r); err != nil {
		return err
	}
	r.compliance.Notifier = r.mails.notifier()
	chains := &cms.Chains{}
	r.apple = &apple.Service{
		Admitter: r.enroll, Planner: r.enroll, Audit: trail, Now: a.now, Log: a.room("apple"),
		Trust: func() cms.Trust {
			return cms.Trust{Roots: authority.Roots(), Intermediates: authority.Intermediates(), Now: a.now(), Known: chains}
		},
	}
	if r.android, err = a.buildAndroid(r.enroll, cfg.AMAPIURL); err != nil {
		return err
	}
	r.viewer.Apps = r.android.service
	a.rooms = r
	return nil
}

// macPurposes are all that any room makes HMACs for.
func macPurposes() []string { return append(enroll.MACPurposes(), access.MACPurposes()...) }

// newestRoot is when the newest root was made that not every phone knows from its
// enrolment: zero while there was never another one.
func newestRoot(authority *certs.Authority) func() time.Time {
	return func() time.Time {
		if roots := authority.Anchors(); len(roots) == 1 && roots[0].Equal(authority.FirstRoot()) {
			return time.Time{}
		}
		return authority.NewestAnchor()
	}
}

func (a *App) room(name string) *slog.Logger { return a.log.With(slog.String("room", name)) }

// profileSigner signs profiles with the certificate that was given, or our own.
func profileSigner(cfg config.Config, authority *certs.Authority, now time.Time) (func() cms.Identity, error) {
	if cfg.SigningCert == "" {
		return authority.ProfileSigner, nil
	}
	given, err := loadSigner(cfg.SigningCert, cfg.SigningKey, now)
	if err != nil {
		return nil, err
	}
	return func() cms.Identity { return given }, nil
}

// Periods of what happens behind the requests. The outbox is also looked at
// without a wake-up, as another process may have written an event.
const (
	outboxBatch   = 100
	outboxEvery   = 5 * time.Second
	sweepEvery    = 15 * time.Second
	publishEvery  = time.Second
	expireEvery   = time.Minute
	renewalEvery  = 10 * time.Minute
	maintainEvery = 24 * time.Hour

	identityLife = 366 * 24 * time.Hour // no identity of a phone lives longer
)

// Work that every server does for itself, however many are on one database.
const (
	serverCertificate = "server certificate"
	ownCertificates   = "own certificates"
	changeFeed        = "feed of decisions"
)

// Consumers of the outbox, by the name of their cursor; access.Consumer is one, too.
const (
	complianceEvents = "compliance"
	wakeEvents       = "wake"
	androidEvents    = "android"
)

// oldEvents drops what all consumers have done, a week later: until then it helps
// whoever looks for what happened.
func (a *App) oldEvents(ctx context.Context) (more bool, err error) {
	const keep, limit = 7 * 24 * time.Hour, 1000
	n, err := a.db.Outbox().Prune(ctx, a.now().Add(-keep), limit, complianceEvents, wakeEvents, androidEvents, access.Consumer)
	return n == limit, err
}

// consumers are the background work that a commit wakes. Floors 0 to 2 start no
// goroutines: these are their steps.
func (a *App) consumers() []work.Consumer {
	return []work.Consumer{
		a.consumer(complianceEvents, a.rooms.compliance.Handle),
		a.consumer(wakeEvents, a.rooms.push.waker.Handle),
		a.consumer(androidEvents, a.rooms.android.service.Handle),
		{Name: access.Consumer, Every: outboxEvery, Step: a.rooms.publisher.Step},
		{Name: changeFeed, Every: outboxEvery, Step: a.rooms.feed.Step},
		{Name: "webhooks", Every: outboxEvery, Step: a.rooms.webhooks.Step},
	}
}

// consumer drains the outbox for one room.
func (a *App) consumer(name string, handle func(ctx context.Context, e mdm.Event) (did bool, err error)) work.Consumer {
	outbox := a.db.Outbox()
	return work.Consumer{Name: name, Every: outboxEvery, Step: work.Drain(outboxBatch, work.Queue[mdm.Event]{
		Pending: func(ctx context.Context, limit int) ([]mdm.Event, error) { return outbox.Pending(ctx, name, limit) },
		Handle:  handle,
		Done:    func(ctx context.Context, e mdm.Event) error { return outbox.Done(ctx, name, e.ID) },
		Pass:    func(ctx context.Context, e mdm.Event) error { return outbox.Pass(ctx, name, e.ID) },
	})}
}

// periodic is the background work that only time makes necessary.
func (a *App) periodic() []work.Consumer {
	return append(slices.Concat(a.rooms.push.periodic(), a.rooms.android.periodic(), a.watchers(), a.rooms.mails.consumers()), []work.Consumer{
		{Name: "compliance sweep", Every: sweepEvery, Step: a.rooms.compliance.Sweep},
		{Name: "decisions that time changes", Every: publishEvery, Step: a.rooms.publisher.Sweep},
		{Name: "old refusals, devices and decisions", Every: maintainEvery, Step: a.rooms.cleaner.Step},
		{Name: "old events", Every: maintainEvery, Step: a.oldEvents},
		{Name: "acts that expire", Every: expireEvery, Step: a.rooms.enroll.ExpireActions},
		{Name: "identities that are due", Every: renewalEvery, Step: a.rooms.renewer.Step},
		{Name: "what hangs under retired authorities", Every: renewalEvery, Step: a.rooms.rollover.Finish},
		{Name: "what earlier releases left", Every: maintainEvery, Step: (&enroll.Mender{Store: a.db.Certificates(), Now: a.now, Log: a.room("mend")}).Step},
		{Name: "certificates that end", Every: alarmEvery, Step: a.rooms.watch.Alarm},
		{Name: serverCertificate, Every: renewalEvery, Step: func(ctx context.Context) (bool, error) {
			return false, a.tls.refresh(ctx)
		}},
		{Name: ownCertificates, Every: maintainEvery, Step: func(ctx context.Context) (bool, error) {
			return false, a.rooms.authority.Maintain(ctx)
		}},
	}...)
}

func databasePath(dir string) string { return filepath.Join(dir, DatabaseFile) }

var _ settings = (*store.DB)(nil)
