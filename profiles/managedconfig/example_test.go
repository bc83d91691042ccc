package managedconfig_test

import (
	"fmt"

	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

func ExampleGmail() {
	bundle, report, err := managedconfig.Gmail(profiles.ExchangeAccount{
		Name: "Mail", Host: "mail.example.test", Domain: "EXAMPLE", UserName: "alice", Email: "alice@example.test", PreventMove: true,
	}.WithDefaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := bundle.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(text))
	for _, f := range report {
		if f.Status == profiles.Unsupported {
			fmt.Printf("%s: %s\n", f.Field, f.Why)
		}
	}
	// Output:
	// {
	//   "email_address": "alice@example.test",
	//   "exchange_host": "mail.example.test",
	//   "exchange_ssl_required": true,
	//   "exchange_username": "EXAMPLE\\alice"
	// }
	// name: Gmail shows the mail address as the account's name
	// prevent_move: only Apple's Mail knows this setting
}
