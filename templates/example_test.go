package templates_test

import (
	"fmt"

	"sallyport/enroll/directory"
	"sallyport/templates"
)

func ExampleRender() {
	spec, err := templates.Parse([]byte(`
name: mail
display_name: Company mail
assign: everyone
accounts:
  - name: Company mail
    host: mail.example.test
    user_name: "%username%"
    domain: "%domainname%"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	alice := directory.User{ID: "1", UPN: "alice@example.test", Email: "alice@example.test", Username: "alice", DomainName: "EXAMPLE"}
	rendered, err := templates.Render(templates.Revision{TemplateID: "mail-1", Name: spec.Name, Number: 1, Spec: spec}, alice, templates.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rendered.Accounts[0].Login(), rendered.Accounts[0].Email)
	fmt.Println(rendered.Profile.Identifier)
	// Output:
	// EXAMPLE\alice alice@example.test
	// sallyport.mail.mail-1.1
}

func ExampleParse() {
	_, err := templates.Parse([]byte("name: mail\naccounts:\n  - {name: Mail, host: mail.example.test, email: '%Email%'}\n"))
	fmt.Println(err)
	// Output:
	// accounts[0].email: unknown variable %Email% (the variables are %email%, %username%, %domainname%, %upn%, %displayname%, %firstname%, %last_name%, %middle_name%, %serialnumber%, %devicename%, %model%, %osversion%, %udid%, %productname%; write %% for a percent sign)
}
