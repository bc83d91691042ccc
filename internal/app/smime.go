package app

import (
	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/store"
)

// buildSMIME wires the keeper of users' keys for mail.
func (a *App) buildSMIME(authority *certs.Authority, tokens *auth.Service, trail audit.Log) *certs.SMIME {
	return &certs.SMIME{
		Authority: authority, Store: a.db.SMIME(), Users: people{a.db.Users(), a.db.Access()}, Hands: tokens,
		Audit: trail, Log: a.room("smime"), Now: a.now,
	}
}

// people finds users by their UPN, and by whatever they could have typed.
type people struct {
	*store.Users
	*store.Access
}
