package mobileconfig_test

import (
	"fmt"
	"strings"

	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

func ExampleProfile_Encode() {
	account := profiles.ExchangeAccount{Name: "Mail", Host: "mail.example.test", UserName: "alice", Email: "alice@example.test"}
	p := mobileconfig.Profile{
		Identifier: "test.example.mail", DisplayName: "Company mail",
		Payloads: []mobileconfig.Payload{
			mobileconfig.NewEAS(account, mobileconfig.Common{Identifier: "test.example.mail.0", UUID: mobileconfig.UUID("mail", "0")}, mobileconfig.Refs{}),
		},
	}
	data, err := p.Encode() // unsigned; cms.Sign signs it
	fmt.Println(err, strings.Contains(string(data), "<string>com.apple.eas.account</string>"))
	fmt.Println(len(p.TopUUID()))
	// Output:
	// <nil> true
	// 36
}

func ExampleFidelity() {
	account := profiles.ExchangeAccount{Name: "Mail", HostType: profiles.Office365}.WithDefaults()
	for _, row := range mobileconfig.Fidelity(account, "11.4") {
		if row.Status != profiles.Applied {
			fmt.Printf("%s: %s, %s. Instead: %s\n", row.Field, row.Status, row.Why, row.Substitute)
		}
	}
	// Output:
	// oauth.enabled: unsupported, iOS before 12.0 knows no OAuth and asks for a password, which Exchange Online refuses. Instead: update the phone, or use Outlook for iOS
}
