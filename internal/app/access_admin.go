package app

import "sallyport/access"

// accessAdmin is what admins do about mail clients.
func (a *App) accessAdmin() *access.Service {
	store := a.db.Access()
	return &access.Service{Rules: store, Devices: store, Mail: store, Source: store, People: a.db.Users(), Compliance: a.rooms.compliance, Now: a.now}
}
