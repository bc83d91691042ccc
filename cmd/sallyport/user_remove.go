package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/templates"
)

type userRemoveCmd struct {
	UPN     string `arg:"" name:"upn" help:"User principal name."`
	Confirm string `help:"The user principal name, typed out again. Without it you are asked on a terminal, and nowhere else." placeholder:"UPN"`
	Rehearsed
	Output
}

// Help is the detail under the usage line.
func (*userRemoveCmd) Help() string {
	return `The user's phones stay enrolled and keep what is on them, and get nothing new: take the mail off them first, or later, with device retire. The passwords of the user are deleted, the certificates revoked but for those of the phones' management, and open invitations too. Of S/MIME the signing keys are deleted; the encryption keys stay, for mail that is there. Adding the user again brings none of it back.`
}

// leaving is the answer of user remove --dry-run in JSON.
type leaving struct {
	MailClients  []access.DeviceRow     `json:"mail_clients"` // which would be blocked
	Phones       []accessapi.Device     `json:"phones"`       // which would stay enrolled
	Certificates []adminapi.Certificate `json:"certificates"` // which would be revoked
	SigningKeys  []adminapi.SMIMEKey    `json:"signing_keys"` // which would be deleted
	Secrets      []templates.Secret     `json:"secrets"`      // likewise
	Invitations  []adminapi.Invitation  `json:"invitations"`  // open, which would be revoked
}

func (c *userRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.plan(p, api)
	}
	if err := c.confirm(p, api); err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, userPath(c.UPN), "", nil, nil); err != nil {
		return err
	}
	return done{"user.remove", c.UPN}.print(p, c.Output, "user %s is removed; the mailbox is shut\n", cell(c.UPN))
}

// confirm lets nobody be removed by who has not named the user twice: it cannot be
// undone.
func (c *userRemoveCmd) confirm(p *program, api *client) error {
	if c.Confirm != "" {
		if !directory.Same(c.Confirm, c.UPN) {
			return usageError{fmt.Sprintf("--confirm %q is not the user who is to be removed: nothing was done", cell(c.Confirm))}
		}
		return nil
	}
	var u directory.User
	if err := api.get(p.ctx, userPath(c.UPN), nil, &u); err != nil {
		return err
	}
	if c.json() || !isTerminal(p.stdin) {
		return usageError{fmt.Sprintf("removing a user cannot be undone: --dry-run lists what goes; repeat the name with --confirm %q", cell(u.UPN))}
	}
	goes, err := c.find(p, api)
	if err != nil {
		return err
	}
	if err := goes.print(p); err != nil {
		return err
	}
	return p.typeOut("the user principal name", u.UPN)
}

func (c *userRemoveCmd) plan(p *program, api *client) error {
	goes, err := c.find(p, api)
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, goes)
	}
	if err := goes.print(p); err != nil {
		return err
	}
	p.nothingDone()
	return nil
}

// find asks for all that hangs on the user.
func (c *userRemoveCmd) find(p *program, api *client) (leaving, error) {
	var found leaving
	var u directory.User
	err := api.get(p.ctx, userPath(c.UPN), nil, &u)
	if err != nil {
		return found, err
	}
	if found.MailClients, err = (&accessDeviceListCmd{User: u.UPN}).find(p, api); err != nil {
		return found, err
	}
	of := url.Values{"user": {u.UPN}}
	phones, err := p.devices(api, of)
	if err != nil {
		return found, err
	}
	certificates, err := p.certificates(api, of)
	if err != nil {
		return found, err
	}
	keys, err := (&smimeListCmd{User: u.UPN}).find(p, api)
	if err != nil {
		return found, err
	}
	invitations, err := (&invitationListCmd{User: u.UPN}).find(p, api)
	if err != nil {
		return found, err
	}
	var secrets adminapi.Secrets
	err = api.get(p.ctx, "/api/v1/secrets", nil, &secrets)
	found.Phones = those(phones, func(d accessapi.Device) bool { return mdm.EnrollmentState(d.Enrollment.State).Active() })
	found.Certificates = those(certificates, func(x adminapi.Certificate) bool {
		return x.State == "valid" && x.Rule != string(certs.RuleMDMIdentity)
	})
	found.SigningKeys = those(keys, func(k adminapi.SMIMEKey) bool { return k.Usage == string(certs.SMIMESigning) })
	found.Secrets = those(secrets.Secrets, func(s templates.Secret) bool { return s.UserID == u.ID })
	found.Invitations = those(invitations, func(i adminapi.Invitation) bool { return i.State == string(enroll.InvitationOpen) })
	return found, err
}

// those of all that are meant; none is [] in JSON, not null.
func those[T any](all []T, meant func(T) bool) []T {
	return slices.DeleteFunc(append([]T{}, all...), func(x T) bool { return !meant(x) })
}

func (l leaving) print(p *program) error {
	something := false
	header, row := certificateTable(l.Certificates, terminalWidth(p.stdout))
	for _, part := range []struct {
		title string
		count int
		list  func() error
	}{
		{"these mail clients would be blocked:", len(l.MailClients), func() error { return p.listMailClients(Output{}, l.MailClients) }},
		{"these phones would stay enrolled, and keep what is on them until they are retired:", len(l.Phones), func() error { return p.listDevices(Output{}, l.Phones) }},
		{"these certificates would be revoked:", len(l.Certificates), func() error { return list(p, Output{}, l.Certificates, header, row) }},
		{"these S/MIME signing keys would be deleted:", len(l.SigningKeys), func() error { return listSMIME(p, Output{}, l.SigningKeys) }},
		{"these secrets would be deleted:", len(l.Secrets), func() error { return listSecrets(p, Output{}, l.Secrets) }},
		{"these invitations would be revoked:", len(l.Invitations), func() error { return listInvitations(p, Output{}, l.Invitations) }},
	} {
		if part.count == 0 {
			continue
		}
		something = true
		fmt.Fprintln(p.stdout, part.title)
		if err := part.list(); err != nil {
			return err
		}
	}
	if !something {
		fmt.Fprintln(p.stdout, "nothing hangs on this user: no mail client, phone, certificate, key, secret or open invitation")
	}
	return nil
}
