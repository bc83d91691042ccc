package agent

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/secret"
)

// folderSync asks for all folders: FolderSync with the key 0, in WBXML
// (MS-ASCMD 2.2.1.5, MS-ASWBXML 2.1.2.1.8).
var folderSync = []byte{0x03, 0x01, 0x6a, 0x00, 0x00, 0x07, 0x56, 0x52, 0x03, '0', 0x00, 0x01, 0x01}

// MailRequest asks a mail server as the phone's mail app would.
type MailRequest struct {
	Server   string // https://HOST; empty: the host of the phone's first account
	User     string // who signs in; empty: the account's
	Password secret.Value
}

// MailAnswer is what it said.
type MailAnswer struct {
	Status   int
	Decision string // X-Sallyport-Decision of a gate that said no
	Reason   string // X-Sallyport-Reason: the page that says why
}

// AskMail asks for the folders of the phone's first account, once: 200 lets the
// phone in. An account with a certificate presents it to a server that asks for one
// (not through Options.HTTP); one that has lost its key cannot ask at all
// (ErrInvalid). Nothing is kept of the mail.
func (p *Phone) AskMail(ctx context.Context, m MailRequest) (MailAnswer, error) {
	end, err := p.begin()
	if err != nil {
		return MailAnswer{}, err
	}
	defer end()
	if len(p.s.Accounts) == 0 {
		return MailAnswer{}, fmt.Errorf("%w: there is no mail account on the phone", ErrInvalid)
	}
	account := p.s.Accounts[0]
	identity, err := p.clientCertificate(account)
	if err != nil {
		return MailAnswer{}, err
	}
	user := orText(m.User, account.User)
	device, kind, program := orText(account.DeviceID, p.s.Facts.EASDeviceID), "iPhone", "Apple-iPhone14C5/2302.61"
	if p.s.Android != nil {
		kind, program = "Android", "Android-Mail/2025.11.02"
	}
	query := url.Values{"Cmd": {"FolderSync"}, "User": {user}, "DeviceId": {device}, "DeviceType": {kind}}
	address := strings.TrimSuffix(orText(m.Server, "https://"+account.Host), "/") + "/Microsoft-Server-ActiveSync?" + query.Encode()
	a, err := p.send(ctx, request{what: "mail server", method: http.MethodPost, url: address, body: folderSync, once: true, identity: identity, header: map[string]string{
		"Content-Type": "application/vnd.ms-sync.wbxml", "MS-ASProtocolVersion": "14.1", "User-Agent": program,
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+m.Password.Reveal())),
	}})
	if err != nil {
		return MailAnswer{}, err
	}
	return MailAnswer{Status: a.status, Decision: a.header.Get("X-Sallyport-Decision"), Reason: a.header.Get("X-Sallyport-Reason")}, nil
}
