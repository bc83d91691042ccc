package config

import (
	"sallyport/internal/notify"
	"sallyport/internal/refusal"
)

const (
	smtpPassword    = "smtp_password"
	maxSMTPUser     = 320
	maxSMTPPassword = 1024
)

// checkMail looks at the settings of mails, which come together.
func (c Config) checkMail() refusal.List {
	var faults refusal.List
	refuse := func(key, reason, remedy string) {
		faults.Add(refusal.New(ErrInvalid, key, reason, remedy))
	}
	take := func(fault *refusal.Error) {
		if fault != nil {
			refuse(fault.Field, fault.Reason, fault.Remedy)
		}
	}
	if c.SMTPURL != "" {
		_, fault := notify.ParseServer("smtp_url", c.SMTPURL)
		take(fault)
		if c.MailFrom == "" {
			refuse("mail_from", "is missing while smtp_url is set", "the address that mails are from, for example mdm@example.com")
		}
	}
	if c.MailFrom != "" {
		_, fault := notify.ParseAddress("mail_from", c.MailFrom)
		take(fault)
	}
	for _, admin := range c.MailAdmins {
		_, fault := notify.ParseAddress("mail_admins", admin)
		take(fault)
	}
	if (c.SMTPUser == "") != c.SMTPPassword.IsZero() {
		refuse("smtp_user", "is set without smtp_password, or the other way round", "they come together; the password in the settings file or SALLYPORT_SMTP_PASSWORD")
	}
	faults.Add(refusal.Line(ErrInvalid, "smtp_user", c.SMTPUser, maxSMTPUser), refusal.Line(ErrInvalid, smtpPassword, c.SMTPPassword.Reveal(), maxSMTPPassword))
	return faults
}
