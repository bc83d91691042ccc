package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/server/adminapi"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user, or change the one with this UPN."`
	Import userImportCmd `cmd:"" help:"Add and change users from a CSV file with a header row. Users who are not in it stay."`
	List   userListCmd   `cmd:"" help:"List users."`
	Show   userShowCmd   `cmd:"" help:"Show one user."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user. The mailbox is shut at once."`
}

type userAddCmd struct {
	UPN         string   `name:"upn" required:"" help:"User principal name: how the user signs in." placeholder:"NAME@DOMAIN"`
	Email       string   `required:"" help:"Address of the mailbox." placeholder:"NAME@DOMAIN"`
	Username    string   `help:"Login name without a domain (default: the UPN's local part)."`
	DomainName  string   `help:"Windows domain, for Exchange on premises."`
	DisplayName string   `help:"Name as people read it (default: the UPN)."`
	FirstName   string   `help:"First name."`
	MiddleName  string   `help:"Middle name."`
	LastName    string   `help:"Last name."`
	Group       []string `help:"Group of the user; may be repeated." placeholder:"GROUP"`
	Output
}

func (c *userAddCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.UserInput{
		UPN: c.UPN, Email: c.Email, Username: c.Username, DomainName: c.DomainName, DisplayName: c.DisplayName,
		FirstName: c.FirstName, MiddleName: c.MiddleName, LastName: c.LastName, Groups: c.Group,
	}
	var user directory.User
	if err := api.post(p.ctx, "/api/v1/users", in, &user); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, user)
	}
	fmt.Fprintf(p.stdout, "user %s is on record\n", cell(user.UPN))
	return nil
}

type userImportCmd struct {
	File string `arg:"" help:"CSV file, - for standard input. Columns: upn, email, username, domain_name, display_name, first_name, middle_name, last_name, groups."`
}

func (c *userImportCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	body, err := p.readInput(c.File)
	if err != nil {
		return err
	}
	var result adminapi.ImportResult
	if err := api.call(p.ctx, http.MethodPost, "/api/v1/users/import", contentCSV, bytes.NewReader(body), &result); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%d added, %d updated\n", result.Added, result.Updated)
	return nil
}

type userListCmd struct {
	Group string `help:"Only users of this group."`
	Output
}

func (c *userListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var users []directory.User
	err = pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		if c.Group != "" {
			q.Set("group", c.Group)
		}
		var page adminapi.Users
		err := api.get(p.ctx, "/api/v1/users", q, &page)
		users = append(users, page.Users...)
		return page.Next, err
	})
	if err != nil {
		return err
	}
	return list(p, c.Output, users, "UPN EMAIL NAME GROUPS", func(u directory.User) []string {
		return []string{u.UPN, u.Email, u.DisplayName, strings.Join(u.Groups, ",")}
	})
}

type userShowCmd struct {
	UPN string `arg:"" name:"upn" help:"User principal name."`
	Output
}

func (c *userShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var u directory.User
	if err := api.get(p.ctx, userPath(c.UPN), nil, &u); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, u)
	}
	return facts(p.stdout,
		fact{"UPN", u.UPN}, fact{"Email", u.Email}, fact{"Username", u.Username}, fact{"Domain name", u.DomainName},
		fact{"Display name", u.DisplayName}, fact{"First name", u.FirstName}, fact{"Middle name", u.MiddleName},
		fact{"Last name", u.LastName}, fact{"Groups", strings.Join(u.Groups, ", ")},
		fact{"Added", stamp(u.CreatedAt)}, fact{"Changed", stamp(u.UpdatedAt)})
}

type userRemoveCmd struct {
	UPN string `arg:"" name:"upn" help:"User principal name."`
}

func (c *userRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, userPath(c.UPN), "", nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "user %s is removed; the mailbox is shut\n", cell(c.UPN))
	return nil
}

func userPath(upn string) string { return "/api/v1/users/" + url.PathEscape(upn) }
