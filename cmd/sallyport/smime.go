package main

import (
	"net/url"
	"strings"
	"time"

	"sallyport/internal/server/adminapi"
)

type smimeCmd struct {
	List   smimeListCmd   `cmd:"" help:"List users' S/MIME keys, without their private part."`
	Import smimeImportCmd `cmd:"" help:"Import PKCS#12 files from a directory or a zip file."`
	Issue  smimeIssueCmd  `cmd:"" help:"Issue new keys to a user now. Phones get theirs by themselves."`
	Revoke smimeRevokeCmd `cmd:"" help:"Revoke a key."`
	Export smimeExportCmd `cmd:"" help:"Take private keys out, with the consent of a second owner."`
}

type smimeListCmd struct {
	User           string `help:"Only keys of this user." placeholder:"UPN"`
	ExpiringWithin span   `help:"Only keys in use that end within that time: 30d, 12h." placeholder:"DURATION"`
	Output
}

func (c *smimeListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	keys, err := c.find(p, api)
	if err != nil {
		return err
	}
	return listSMIME(p, c.Output, keys)
}

func (c *smimeListCmd) find(p *program, api *client) ([]adminapi.SMIMEKey, error) {
	keys := []adminapi.SMIMEKey{}
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		if c.User != "" {
			q.Set("user", c.User)
		}
		if c.ExpiringWithin > 0 {
			q.Set("expiring_before", p.now().Add(time.Duration(c.ExpiringWithin)).UTC().Format(time.RFC3339))
		}
		var page adminapi.SMIMEKeys
		err := api.get(p.ctx, "/api/v1/smime", q, &page)
		keys = append(keys, page.Keys...)
		return page.Next, err
	})
	return keys, err
}

func listSMIME(p *program, o Output, keys []adminapi.SMIMEKey) error {
	return list(p, o, keys, "KEY USER USAGE SOURCE STATE MAIL NOT-AFTER", func(k adminapi.SMIMEKey) []string {
		user := k.User
		if user == "" {
			user = "removed: " + k.UserID
		}
		return []string{k.ID, user, k.Usage, k.Source, smimeState(k), strings.Join(k.Mails, ";"), stamp(k.NotAfter)}
	})
}

func smimeState(k adminapi.SMIMEKey) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case k.Current:
		return "current"
	}
	return "history"
}

type smimeIssueCmd struct {
	User  string   `required:"" help:"User principal name." placeholder:"UPN"`
	Usage []string `help:"signing or encryption; both when left away." enum:"signing,encryption" placeholder:"USAGE"`
	Force bool     `help:"Also where an imported certificate still holds."`
	Output
}

// Help is the detail under the usage line.
func (*smimeIssueCmd) Help() string {
	return `Keys are made when a phone first needs them, and anew in the last third of their life. This is for having them made now, for example after one was revoked. Within an hour of the last ones no others are made. Old encryption keys stay, and phones keep them.`
}

func (c *smimeIssueCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var answer adminapi.SMIMEKeys
	if err := api.post(p.ctx, "/api/v1/smime/issue", adminapi.SMIMEIssueRequest{User: c.User, Usages: c.Usage, Force: c.Force}, &answer); err != nil {
		return err
	}
	return listSMIME(p, c.Output, answer.Keys)
}

type smimeRevokeCmd struct {
	ID     string `arg:"" name:"key" help:"ID of the key: see smime list."`
	Reason string `help:"unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation." default:"unspecified" placeholder:"REASON"`
	Output
}

// Help is the detail under the usage line.
func (*smimeRevokeCmd) Help() string {
	return `A signing key leaves the user's phones with their next profile, and a new one is made. An encryption key stays on them as history: old mail must stay readable. A certificate that was imported has to be revoked by its own authority too.`
}

func (c *smimeRevokeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	path := "/api/v1/smime/" + url.PathEscape(c.ID) + "/revoke"
	if err := api.post(p.ctx, path, adminapi.SMIMERevokeRequest{Reason: c.Reason}, nil); err != nil {
		return err
	}
	return done{"smime.revoke", c.ID}.print(p, c.Output, "key %s is revoked\n", cell(c.ID))
}
