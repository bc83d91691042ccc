package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"

	"sallyport/internal/server/adminapi"
)

type inviteCmd struct {
	User      string `required:"" xor:"whom" help:"Invite one user, by UPN." placeholder:"UPN"`
	Group     string `required:"" xor:"whom" help:"Invite every user of a group; prints CSV with a URL for each." placeholder:"GROUP"`
	All       bool   `required:"" xor:"whom" help:"Invite every user; prints CSV with a URL for each."`
	Ownership string `help:"Whose phone it is: personal (default: fewer rights, we may not erase it) or corporate. It cannot change without enrolling anew." enum:"corporate,personal" default:"personal"`
	PIN       bool   `name:"pin" help:"Also ask for a PIN, which you tell apart from the URL."`
	TTL       span   `name:"ttl" help:"How long the invitation holds: days or hours, 7d or 12h; at most 90d." default:"7d"`
	QR        bool   `name:"qr" help:"Draw the URL as a QR code for a phone's camera."`
	Output
}

func (c *inviteCmd) Run(p *program) error {
	if c.QR && c.User == "" {
		return usageError{"--qr goes with --user: one code for one phone"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.InvitationRequest{User: c.User, Group: c.Group, All: c.All, Ownership: c.Ownership, PIN: c.PIN, TTL: c.TTL.String()}
	var issued adminapi.IssuedInvitations
	if err := api.post(p.ctx, "/api/v1/invitations", in, &issued); err != nil {
		return err
	}
	for _, s := range issued.Skipped {
		fmt.Fprintf(p.stderr, "not invited: %s (%s)\n", cell(s.Reason), cell(s.Remedy))
	}
	switch {
	case c.json():
		return printJSON(p.stdout, issued.Invitations)
	case c.User == "":
		fmt.Fprintf(p.stderr, "%d invited; each URL is a secret and is shown only now\n", len(issued.Invitations))
		return inviteCSV(p.stdout, issued.Invitations)
	case len(issued.Invitations) != 1:
		return fmt.Errorf("%s answered with %d invitations for one user", api.base, len(issued.Invitations))
	}
	return c.printOne(p, issued.Invitations[0])
}

// printOne puts the URL alone on standard output's first line, fit for a script.
func (c *inviteCmd) printOne(p *program, i adminapi.IssuedInvitation) error {
	fmt.Fprintln(p.stdout, i.URL)
	if i.PIN != "" {
		fmt.Fprintf(p.stdout, "PIN %s\n", i.PIN)
		fmt.Fprintln(p.stderr, "Tell the PIN apart from the URL: on the telephone, say.")
	}
	fmt.Fprintf(p.stderr, "For one phone of %s, until %s. Open it on the phone, on an iPhone in Safari. It is shown only now.\n", cell(i.User), stamp(i.ExpiresAt))
	if !c.QR {
		return nil
	}
	return drawQR(p.stdout, i.URL)
}

func inviteCSV(w io.Writer, issued []adminapi.IssuedInvitation) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"upn", "email", "display_name", "url", "pin", "expires_at"}}
	for _, i := range issued {
		rows = append(rows, []string{inert(i.User), inert(i.Email), inert(i.DisplayName), i.URL, i.PIN, i.ExpiresAt.UTC().Format(time.RFC3339)})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// inert keeps a spreadsheet from taking a name for a formula
// (https://owasp.org/www-community/attacks/CSV_Injection).
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// drawQR draws text with two rows of the code in one line of half blocks, light
// on dark as terminals are, inside the quiet zone that cameras want.
func drawQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("draw QR code: %w", err)
	}
	const quiet = 4 // ISO/IEC 18004, 6.3.8
	glyphs := map[[2]bool]string{{true, true}: " ", {true, false}: "▄", {false, true}: "▀", {false, false}: "█"}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString(glyphs[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(w, b.String())
	return err
}

type invitationCmd struct {
	List   invitationListCmd   `cmd:"" help:"List invitations, newest first."`
	Revoke invitationRevokeCmd `cmd:"" help:"Revoke an open invitation."`
}

type invitationListCmd struct {
	User string `help:"Only those of this user." placeholder:"UPN"`
	Output
}

func (c *invitationListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	all, err := c.find(p, api)
	if err != nil {
		return err
	}
	return listInvitations(p, c.Output, all)
}

func (c *invitationListCmd) find(p *program, api *client) ([]adminapi.Invitation, error) {
	all := []adminapi.Invitation{}
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		if c.User != "" {
			q.Set("user", c.User)
		}
		var page adminapi.Invitations
		err := api.get(p.ctx, "/api/v1/invitations", q, &page)
		all = append(all, page.Invitations...)
		return page.Next, err
	})
	return all, err
}

func listInvitations(p *program, o Output, all []adminapi.Invitation) error {
	return list(p, o, all, "ID USER STATE OWNERSHIP PIN EXPIRES BY", func(i adminapi.Invitation) []string {
		return []string{i.ID, i.User, i.State, i.Ownership, yes(i.PINRequired), stamp(i.ExpiresAt), i.CreatedBy}
	})
}

type invitationRevokeCmd struct {
	ID string `arg:"" name:"id" help:"ID of the invitation."`
	Output
}

func (c *invitationRevokeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, "/api/v1/invitations/"+url.PathEscape(c.ID), "", nil, nil); err != nil {
		return err
	}
	return done{"invitation.revoke", c.ID}.print(p, c.Output, "invitation %s is revoked\n", cell(c.ID))
}
