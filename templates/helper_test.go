package templates

import (
	"testing"

	"sallyport/enroll/directory"
)

const (
	templateID = "0192f0a0-0000-7000-8000-000000000001"
	userID     = "0192f0a0-0000-7000-8000-0000000000aa"
)

func options() Options {
	return Options{Organization: "Example", SCEPURL: "https://mdm.example.test/scep"}
}

func alice() directory.User {
	return directory.User{
		ID: userID, UPN: "alice@example.test", Email: "alice.archer@example.test", Username: "alice", DomainName: "EXAMPLE",
		DisplayName: "Alice Archer", FirstName: "Alice", MiddleName: "B.", LastName: "Archer", Groups: []string{"sales"},
	}
}

func revision(t testing.TB, source string) Revision {
	t.Helper()
	spec, err := Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return Revision{TemplateID: templateID, Name: spec.Name, Number: 1, Spec: spec, Source: source}
}

const everyVariable = `
name: mail
display_name: "%displayname% 100%%"
assign: everyone
accounts:
  - name: "%firstname% %middle_name% %last_name%"
    host: mail.example.test
    user_name: "%username%"
    domain: "%domainname%"
    email: "%email%"
    identity: scep
  - name: "Other"
    host: other.example.test
    user_name: "%upn%"
`
