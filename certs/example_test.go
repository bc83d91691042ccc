package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"time"

	"sallyport/certs"
)

// A challenge carries what its bearer is entitled to; the request contributes
// nothing but a key.
func Example() {
	ctx := context.Background()
	store := newMemory() // in the server: internal/store
	authority, err := certs.Open(ctx, store, certs.Options{Organization: "Example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	issuer := &certs.Issuer{Authority: authority, Store: store, Renewals: renewals{store}}
	challenge, err := issuer.Mint(ctx, certs.Grant{
		Rule: certs.RuleMDMIdentity, CommonName: "alice@example.test", Mail: "alice@example.test",
		UserID: "user-1", InvitationID: "invitation-1",
	}, 15*time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		fmt.Println(err)
		return
	}
	cert, err := issuer.Issue(ctx, certs.Request{Challenge: challenge, PublicKey: key.Public(), TransactionID: "1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(challenge, cert.Subject, cert.EmailAddresses)
	_, err = issuer.Issue(ctx, certs.Request{Challenge: challenge, PublicKey: key.Public(), TransactionID: "2"})
	fmt.Println(err)
	// Output:
	// [redacted] CN=alice@example.test,O=Example [alice@example.test]
	// issue: challenge not valid: used by another
}

// Keys that are too weak are refused before a challenge is touched.
func ExampleCheckKey() {
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(certs.CheckKey(key.Public()))
	// Output: public key refused: its curve is not taken, want P-256 or P-384
}
