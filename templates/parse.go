package templates

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
	"sallyport/mdm"
	"sallyport/profiles"
)

const (
	maxAccounts = 16  // in one profile
	maxText     = 256 // bytes of a name
)

var templateName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Parse reads a template from YAML, fills defaults and validates it. Its
// refusals wrap ErrInvalid and name the field; those of the YAML itself also
// name line and column.
func Parse(source []byte) (Spec, error) {
	var s Spec
	if err := yamldoc.Decode(source, &s, ErrInvalid); err != nil {
		return Spec{}, err
	}
	s.DisplayName = cmp.Or(s.DisplayName, s.Name)
	for i := range s.Accounts {
		s.Accounts[i] = s.Accounts[i].WithDefaults()
	}
	if err := s.Validate(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// Validate refuses, by field, a template that could not be rendered for any
// user: unknown variables, and accounts that are wrong whatever the values are.
func (s Spec) Validate() error {
	var list refusal.List
	list.Add(documentName(s.Name), priority(s.Priority))
	if _, refused := parseExpression("display_name", s.DisplayName); refused != nil {
		list.Add(refused)
	} else {
		list.Add(refusal.Line(ErrInvalid, "display_name", s.DisplayName, maxText))
	}
	list.Add(audience("assign", s.Assign)...)
	list.Add(audience("exclude", s.Exclude)...)
	list.Add(s.Android.validate())
	list.Add(checkKept(s.Kept, s.Accounts)...)
	if n := len(s.Accounts); n == 0 || n > maxAccounts {
		list.Add(refusal.New(ErrInvalid, "accounts", fmt.Sprintf("are %d", n), fmt.Sprintf("describe 1 to %d mail accounts", maxAccounts)))
		return list.OrNil()
	}
	for i, account := range s.Accounts {
		list.Add(checkAccount(fmt.Sprintf("accounts[%d].", i), account)...)
	}
	if len(list) == 0 {
		list.Add(sameMailbox(s.Accounts)...)
	}
	return list.OrNil()
}

func documentName(name string) *refusal.Error {
	if templateName.MatchString(name) {
		return nil
	}
	return refusal.New(ErrInvalid, "name", "is not a name", "use 1 to 63 lower case letters, digits and inner dashes, for example company-mail")
}

// maxPriority bounds a priority on both sides of 0.
const maxPriority = 1000

func priority(value int) *refusal.Error {
	if -maxPriority <= value && value <= maxPriority {
		return nil
	}
	return refusal.New(ErrInvalid, "priority", fmt.Sprintf("is %d", value), fmt.Sprintf("use -%d to %d; the higher one wins, the default is 0", maxPriority, maxPriority))
}

// checkAccount validates an account with a sample user's values in its variables:
// what is wrong then is wrong for everybody.
func checkAccount(path string, a profiles.ExchangeAccount) refusal.List {
	var list refusal.List
	broken := map[string]bool{}
	for _, f := range fields(&a) {
		if refused := f.expand(path, sample()); refused != nil {
			list.Add(refused)
			broken[f.path] = true
		}
	}
	for _, e := range refusal.All(a.Validate()) {
		if !broken[e.Field] {
			list.Add(refusal.New(ErrInvalid, path+e.Field, e.Reason, e.Remedy))
		}
	}
	for _, s := range secretFields(a) {
		if refused := secretName(path+s.path, s.name); refused != nil && s.name != "" {
			list.Add(refused)
		}
	}
	return list
}

// sample has a value in every field, each one different.
func sample() values {
	return values{user: sampleUser(), device: &mdm.DeviceFacts{
		Serial: "F2L0000000A1", Name: "Phone", Model: "MTP03", OSVersion: "18.1", UDID: "00008110-0000000000000000", Product: "iPhone15,4",
	}}
}

// sampleUser has a value in every field, each one different.
func sampleUser() directory.User {
	return directory.User{
		UPN: "upn@corp.example.test", Email: "email@example.test", Username: "username", DomainName: "DOMAIN",
		DisplayName: "Display", FirstName: "First", MiddleName: "Middle", LastName: "Last",
	}
}

// sameMailbox refuses two accounts that set up one mailbox: the phone would
// refuse the whole profile (EAS error 21005).
func sameMailbox(accounts []profiles.ExchangeAccount) refusal.List {
	var list refusal.List
	first := map[string]int{}
	for i, a := range accounts {
		mailbox := strings.ToLower(a.Host + "\n" + a.Login())
		if other, ok := first[mailbox]; ok {
			list.Add(refusal.New(ErrInvalid, fmt.Sprintf("accounts[%d]", i),
				fmt.Sprintf("sets up the same mailbox as accounts[%d]; a phone refuses that", other), "remove one of them"))
			continue
		}
		first[mailbox] = i
	}
	return list
}

func audience(path string, a directory.Audience) refusal.List {
	var list refusal.List
	for i, g := range a.Groups {
		list.Add(entry(fmt.Sprintf("%s.groups[%d]", path, i), g))
	}
	for i, u := range a.Users {
		list.Add(entry(fmt.Sprintf("%s.users[%d]", path, i), u))
	}
	return list
}

func entry(path, value string) *refusal.Error {
	if strings.TrimSpace(value) == "" {
		return refusal.New(ErrInvalid, path, "is empty", "remove it")
	}
	return refusal.Line(ErrInvalid, path, value, maxText)
}
