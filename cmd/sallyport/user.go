package main

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/server/adminapi"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user, or change the one with this UPN."`
	Import userImportCmd `cmd:"" help:"Add and change users from a CSV file with a header row. Users who are not in it stay."`
	List   userListCmd   `cmd:"" help:"List users."`
	Show   userShowCmd   `cmd:"" help:"Show one user."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user. The mailbox is shut at once."`
	Mail   userMailCmd   `cmd:"" help:"Switch mail on phones off and on for a user."`
}

type userAddCmd struct {
	UPN           string   `name:"upn" required:"" help:"User principal name: how the user signs in. Upper and lower case are the same user." placeholder:"NAME@DOMAIN"`
	Email         *string  `help:"Address of the mailbox. A new user needs one." placeholder:"NAME@DOMAIN"`
	Username      *string  `help:"Login name without a domain (empty: the UPN's local part)."`
	DomainName    *string  `help:"Windows domain, for Exchange on premises."`
	DisplayName   *string  `help:"Name as people read it (empty: the UPN)."`
	FirstName     *string  `help:"First name."`
	MiddleName    *string  `help:"Middle name."`
	LastName      *string  `help:"Last name."`
	Group         []string `help:"Group of the user; repeat it for each group. Those given replace those on record." sep:"none" placeholder:"GROUP"`
	SharedMailbox *bool    `negatable:"" help:"Several people read this mailbox: no phone is set up for it."`
	Respell       bool     `help:"Write the UPN as it is spelled here, where the one on record differs in upper and lower case."`
	Output
}

// Help is the detail under the usage line.
func (*userAddCmd) Help() string {
	return `Of a user who is on record only what is given changes; an empty value clears a field: --middle-name "".

Marking a user with enrolled phones as a shared mailbox takes the mail profiles and the passcode policy off those phones.`
}

func (c *userAddCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var before directory.User
	known := true
	if err := api.get(p.ctx, userPath(c.UPN), nil, &before); isNotFound(err) {
		known = false
	} else if err != nil {
		return err
	}
	if !known && c.Email == nil {
		return usageError{"a new user needs --email NAME@DOMAIN: no " + cell(c.UPN) + " is on record"}
	}
	var user directory.User
	if err := api.post(p.ctx, "/api/v1/users", c.over(before), &user); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, user)
	}
	fmt.Fprintf(p.stdout, "user %s %s\n", cell(user.UPN), saved(known, before, user))
	return nil
}

// over lays what was given over the user on record; the zero User is a new one.
func (c *userAddCmd) over(u directory.User) adminapi.UserInput {
	if u.UPN == "" || c.Respell {
		u.UPN = c.UPN
	}
	for field, given := range map[*string]*string{
		&u.Email: c.Email, &u.Username: c.Username, &u.DomainName: c.DomainName, &u.DisplayName: c.DisplayName,
		&u.FirstName: c.FirstName, &u.MiddleName: c.MiddleName, &u.LastName: c.LastName,
	} {
		if given != nil {
			*field = *given
		}
	}
	if c.Group != nil {
		u.Groups = c.Group
	}
	if c.SharedMailbox != nil {
		u.SharedMailbox = *c.SharedMailbox
	}
	return adminapi.UserInput{
		UPN: u.UPN, Email: u.Email, Username: u.Username, DomainName: u.DomainName, DisplayName: u.DisplayName,
		FirstName: u.FirstName, MiddleName: u.MiddleName, LastName: u.LastName, Groups: u.Groups, SharedMailbox: u.SharedMailbox,
	}
}

// saved says what became of a user.
func saved(known bool, before, after directory.User) string {
	if !known {
		return "added"
	}
	if names := directory.ChangedFields(before, after); len(names) > 0 {
		return "changed: " + strings.Join(names, ", ")
	}
	return "unchanged"
}

type userImportCmd struct {
	File string `arg:"" help:"CSV file, - for standard input."`
	Output
}

// Help is the detail under the usage line.
func (*userImportCmd) Help() string {
	return `The first row names the columns: upn and email, and any of username, domain_name, display_name, first_name, middle_name, last_name, groups and shared_mailbox, separated by commas.

Semicolons separate the groups of a user: staff;Berlin. The name of a group can hold neither a semicolon nor a comma. shared_mailbox is true or false.

Of a user who is on record those fields change for which there is a column; an empty value clears the field. All rows are saved, or none.`
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
	if c.json() {
		return printJSON(p.stdout, result)
	}
	fmt.Fprintf(p.stdout, "%d added, %d changed", result.Added, result.Updated)
	if users, err := directory.ParseCSV(bytes.NewReader(body)); err == nil { // as the server did
		fmt.Fprintf(p.stdout, ", %d unchanged", len(users)-result.Added-result.Updated)
	}
	fmt.Fprintln(p.stdout)
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
	users, err := p.users(api, c.Group)
	if err != nil {
		return err
	}
	return list(p, c.Output, users, "UPN EMAIL NAME GROUPS", func(u directory.User) []string {
		return []string{u.UPN, u.Email, u.DisplayName, strings.Join(u.Groups, ";")}
	})
}

// users are all, or those of a group.
func (p *program) users(api *client, group string) ([]directory.User, error) {
	var users []directory.User
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		if group != "" {
			q.Set("group", group)
		}
		var page adminapi.Users
		err := api.get(p.ctx, "/api/v1/users", q, &page)
		users = append(users, page.Users...)
		return page.Next, err
	})
	return users, err
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
	var box adminapi.UserMailbox
	if err := api.get(p.ctx, userPath(c.UPN)+"/mailbox", nil, &box); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, struct {
			directory.User
			Mailbox adminapi.UserMailbox `json:"mailbox"`
		}{u, box})
	}
	err = facts(p.stdout,
		fact{"UPN", u.UPN}, fact{"Email", u.Email}, fact{"Username", u.Username}, fact{"Domain name", u.DomainName},
		fact{"Display name", u.DisplayName}, fact{"First name", u.FirstName}, fact{"Middle name", u.MiddleName},
		fact{"Last name", u.LastName}, fact{"Groups", strings.Join(u.Groups, ";")}, fact{"Shared mailbox", shared(u)},
		fact{"Devices", devicesOf(box.Mailbox)}, fact{"Mail on phones", mailOff(box.MailOff)}, fact{"Added", stamp(u.CreatedAt)}, fact{"Changed", stamp(u.UpdatedAt)})
	for _, word := range box.Said {
		fmt.Fprintf(p.stdout, "said: %s\n", cell(wordOf(word)))
	}
	if err == nil && box.Warning != "" {
		fmt.Fprintf(p.stdout, "warning: %s\n", cell(box.Warning))
	}
	return err
}

// shared is said where it is so, and nowhere else.
func shared(u directory.User) string {
	if !u.SharedMailbox {
		return ""
	}
	return "yes: no phone is set up for it"
}

// mailOff is said where it is so, likewise.
func mailOff(off *access.Note) string {
	if off == nil {
		return ""
	}
	return fmt.Sprintf("off since %s (%s: %s)", stamp(off.At), off.By, off.Reason)
}

// wordOf is what an admin said of a mail client, or of all of a user's.
func wordOf(p access.Personal) string {
	text := fmt.Sprintf("%s %s since %s", p.Kind, cmp.Or(string(p.Key), "every mail client"), stamp(p.At))
	if !p.ExpiresAt.IsZero() {
		text += " until " + stamp(p.ExpiresAt)
	}
	return fmt.Sprintf("%s (%s: %s)", text, p.By, p.Reason)
}

func userPath(upn string) string { return "/api/v1/users/" + url.PathEscape(upn) }
