package access_test

import (
	"context"
	"fmt"

	"sallyport/access"
)

func ExampleEngine_Decide() {
	ctx := context.Background()
	engine := newLedger().engine() // in the server: internal/store and compliance
	if err := engine.Load(ctx); err != nil {
		fmt.Println(err)
		return
	}
	decision, err := engine.Decide(ctx, access.Client{User: "alice@example.test", DeviceID: "unknown", DeviceType: "iPhone"})
	if err != nil {
		fmt.Println("deny:", err) // trouble never lets anybody in
		return
	}
	fmt.Println(decision.Effect)
	for _, r := range decision.Reasons {
		fmt.Printf("%s: %s. %s\n", r.Rule, r.Fact, r.Fix)
	}
	// Output:
	// quarantine
	// device: this device is not enrolled for this mailbox. Enrol the phone with the link from your administrator, and use the mail account that it then sets up.
}
