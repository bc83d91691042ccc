package profiles_test

import (
	"fmt"

	"sallyport/profiles"
)

func ExampleExchangeAccount_Validate() {
	account := profiles.ExchangeAccount{Name: "Mail", Host: "https://mail.example.test", UserName: "alice", Email: "alice@example.test"}
	fmt.Println(account.WithDefaults().Validate())
	// Output:
	// host: is a URL (give the host name alone, without https:// and path)
}
