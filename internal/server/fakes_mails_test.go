package server

import (
	"context"

	"sallyport/internal/notify"
	"sallyport/internal/server/adminapi"
)

// mailsFake has a mail server that says no.
type mailsFake struct{ w *world }

func (f mailsFake) Status(context.Context) (adminapi.MailStatus, error) {
	return adminapi.MailStatus{Configured: true, Server: "smtps://mail.example.test:465", From: "mdm@example.test", Admins: []string{"ops@example.test"},
		Status: notify.Status{Waiting: 2, Oldest: noon, Tried: 1, Sent: 3, Lost: 1, Reply: "451 later", ReplyAt: noon}}, f.w.did(false)
}

func (f mailsFake) Test(_ context.Context, to string) (adminapi.MailTested, error) {
	if _, fault := notify.ParseAddress("to", to); fault != nil {
		return adminapi.MailTested{}, fault
	}
	return adminapi.MailTested{Reply: "550 no such mailbox"}, f.w.did(true)
}
