package mobileconfig

import (
	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// EAS sets up an Exchange ActiveSync account in Mail, Contacts and Calendar.
// https://developer.apple.com/documentation/devicemanagement/exchangeactivesync
type EAS struct {
	Common
	Host     string // host name or address, optional :port
	UserName string // user, or DOMAIN\user
	Email    string
	SSL      bool // always written: Apple's default is false
	// CertificateUUID is the PayloadUUID of the identity payload in the same
	// profile; empty for none.
	CertificateUUID string
}

// NewEAS writes an expanded account. The account's name becomes the payload's
// display name: the payload has no key of its own for it. identityUUID is the
// PayloadUUID of the identity payload, where the account uses one.
func NewEAS(a profiles.ExchangeAccount, c Common, identityUUID string) EAS {
	c.DisplayName = a.Name
	return EAS{Common: c, Host: a.Host, UserName: a.Login(), Email: a.Email, SSL: a.UsesSSL(), CertificateUUID: identityUUID}
}

// Type implements Payload.
func (EAS) Type() string { return "com.apple.eas.account" }

func (e EAS) fill(dict map[string]any, _ bool) {
	dict["Host"] = e.Host
	dict["UserName"] = e.UserName
	dict["EmailAddress"] = e.Email
	dict["SSL"] = e.SSL
	text(dict, "PayloadCertificateUUID", e.CertificateUUID)
}

// check: no key is required by the schema, but a profile that arrives by MDM
// cannot ask the user for what is missing.
func (e EAS) check() refusal.List {
	var list refusal.List
	list.Add(required(e.Type()+".Host", e.Host), required(e.Type()+".UserName", e.UserName), required(e.Type()+".EmailAddress", e.Email))
	list.Add(texts(e.Type()+".", map[string]string{"Host": e.Host, "UserName": e.UserName, "EmailAddress": e.Email})...)
	return list
}

func (e EAS) references() map[string]string {
	return map[string]string{"PayloadCertificateUUID": e.CertificateUUID}
}
