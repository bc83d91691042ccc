package app

import (
	"context"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/notify"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/web"
	"sallyport/internal/work"
)

// mails is what people are told by mail. Without a server for it everything is
// nil but the store.
type mails struct {
	store   notify.Store
	trail   audit.Log
	sender  *notify.Sender
	admins  []string
	notices *access.Notices
	postman *notify.Postman
	forget  func(ctx context.Context) error
	now     func() time.Time
}

// buildMails wires who tells owners of devices, and admins. Where there is no mail
// server nothing is queued, and nobody hears later of what happens now.
func (a *App) buildMails(cfg config.Config, r *rooms) (*mails, error) {
	store, books := a.db.Mails(), a.db.Access()
	m := &mails{store: store, trail: a.db.Audit(), admins: cfg.MailAdmins, forget: store.ForgetNotices, now: a.now}
	if cfg.SMTPURL == "" {
		return m, nil
	}
	server, fault := notify.ParseServer("smtp_url", cfg.SMTPURL)
	if fault != nil {
		return nil, fault
	}
	pages, err := web.New()
	if err != nil {
		return nil, err
	}
	m.sender = &notify.Sender{Server: server, User: cfg.SMTPUser, Password: cfg.SMTPPassword, From: cfg.MailFrom, Now: a.now}
	m.postman = &notify.Postman{Store: store, Carrier: m.sender, Now: a.now, Log: a.room("mail")}
	m.notices = &access.Notices{
		Store: store, Changes: books, Devices: books, Source: books, Users: a.db.Users(), Links: r.links, Pages: pages,
		Organization: cfg.Organization, Admins: cfg.MailAdmins, Ready: r.publisher.Rounded, Now: a.now, Log: a.room("mail"),
	}
	return m, nil
}

// notifier is nil where there is no mail server: notices wait for one.
func (m *mails) notifier() compliance.Notifier {
	if m.notices == nil {
		return nil
	}
	return m.notices
}

// consumers write mails and send them. They are apart: a mail server that does not
// answer holds up nobody who writes.
func (m *mails) consumers() []work.Consumer {
	if m.sender == nil {
		return []work.Consumer{{Name: "mails that nobody sends", Every: maintainEvery, Step: func(ctx context.Context) (bool, error) { return false, m.forget(ctx) }}}
	}
	return []work.Consumer{
		{Name: "mails to write", Every: outboxEvery, Step: m.notices.Step},
		{Name: "mails to send", Every: outboxEvery, Step: m.postman.Step},
	}
}

// Status implements adminapi.MailService.
func (m *mails) Status(ctx context.Context) (adminapi.MailStatus, error) {
	st, err := m.store.MailStatus(ctx)
	if err != nil {
		return adminapi.MailStatus{}, err
	}
	out := adminapi.MailStatus{Admins: m.admins, Status: st}
	if m.sender != nil {
		out.Configured, out.Server, out.From = true, m.sender.Server.String(), m.sender.From
	}
	return out, nil
}

// Test implements adminapi.MailService: it sends a mail at once, past the queue.
func (m *mails) Test(ctx context.Context, to string) (adminapi.MailTested, error) {
	address, fault := notify.ParseAddress("to", to)
	switch {
	case fault != nil:
		return adminapi.MailTested{}, fault
	case m.sender == nil:
		return adminapi.MailTested{Reply: "smtp_url is not set: this server sends no mails (set it, and mail_from; docs/mail-notices.md)"}, nil
	}
	now := m.now()
	reply, err := m.sender.Send(ctx, notify.Mail{Key: "test/" + now.Format(time.RFC3339Nano), To: address, Locale: "en",
		Subject: "Sallyport can send mail", Text: "This is the test mail that an administrator asked for with sallyport mail test. Nothing is to be done.\n"})
	out, outcome := adminapi.MailTested{Sent: err == nil, Reply: reply}, audit.Done
	if err != nil {
		out.Reply, outcome = err.Error(), audit.Refused
	}
	return out, m.trail.Append(context.WithoutCancel(ctx), audit.New(ctx, now, "mail.test", "", outcome))
}
