package config_test

import (
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
)

func TestMailSettings(t *testing.T) {
	t.Parallel()
	c, err := config.Load(write(t, "smtp_url: smtp://mail.example.com\nmail_from: mdm@example.com\nmail_admins: a@example.com, b@example.com\nsmtp_user: u\n"),
		[]string{"SALLYPORT_SMTP_PASSWORD=canary-4711"}, nil)
	if err != nil || c.SMTPPassword.Reveal() != "canary-4711" || strings.Join(c.MailAdmins, "|") != "a@example.com|b@example.com" {
		t.Fatalf("%+v, %v", c.MailAdmins, err)
	}
	for _, s := range c.Redacted() {
		if strings.Contains(s.Value, "canary") || s.Key == "mail_admins" && s.Value != "a@example.com, b@example.com" {
			t.Errorf("shows %s: %s", s.Key, s.Value)
		}
	}
	for yaml, want := range map[string]string{
		"smtp_url: smtp://mail.example.com\n":              "mail_from",
		"smtp_url: ftp://x\nmail_from: a@b.example\n":      "smtp_url",
		"mail_from: \"a@b.example\\nBcc: c@d\"\n":          "mail_from",
		"mail_admins: a@b.example, nobody\n":               "mail_admins",
		"smtp_user: u\n":                                   "smtp_user",
		"smtp_password: canary-4711\n":                     "smtp_user",
		"smtp_user: u\nsmtp_password: \"canary\\n4711\"\n": "smtp_password",
	} {
		_, err := config.Load(write(t, yaml), nil, nil)
		faults := refusal.All(err)
		if len(faults) != 1 || faults[0].Field != want || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}
