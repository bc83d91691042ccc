package adminapi

import (
	"errors"
	"strconv"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/templates"
)

// maxQuoted is how much of a name an answer repeats.
const maxQuoted = 100

// lists are the commands that show what is on record, by what it is called.
var lists = map[string]string{
	"user": "user list", "template": "template list", "secret": "secret list", "security policy": "security-policy list",
	"compliance policy": "compliance list", "certificate": "ca list",
}

// noSuch refuses what names something that is not on record.
func noSuch(sentinel error, field, what, value string) *refusal.Error {
	return refusal.New(sentinel, field, "there is no "+what+" "+quoted(value), "list them to see the names: sallyport "+lists[what])
}

// missing says which one there is not, where a room said only that there is
// none; what the room advises stays. Other errors stay what they are.
func missing(err, sentinel error, field, what, value string) error {
	if value == "" || !errors.Is(err, sentinel) {
		return err
	}
	named := noSuch(sentinel, field, what, value)
	if said := refusal.All(err); len(said) == 1 && said[0].Remedy != "" {
		named.Remedy = said[0].Remedy
	}
	return named
}

func missingTemplate(err error, name string) error {
	return missing(err, templates.ErrNotFound, "name", "template", name)
}

func missingUser(err error, field, upn string) error {
	return missing(err, directory.ErrNotFound, field, "user", upn)
}

// missingSecret tells the secret for everyone from that of one user, which has
// the same name.
func missingSecret(err error, name, upn string) error {
	if !errors.Is(err, templates.ErrNotFound) {
		return err
	}
	whose := " for everyone"
	if upn != "" {
		whose = " of " + quoted(upn)
	}
	return refusal.New(templates.ErrNotFound, "name", "there is no secret "+quoted(name)+whose, "list them to see the names: sallyport "+lists["secret"])
}

// quoted shows what a caller sent, whatever it holds.
func quoted(value string) string {
	if runes := []rune(value); len(runes) > maxQuoted {
		value = string(runes[:maxQuoted]) + "…"
	}
	return strconv.Quote(value)
}
