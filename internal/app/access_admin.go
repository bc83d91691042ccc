package app

import "sallyport/access"

// accessAdmin is what admins do about mail clients.
func (a *App) accessAdmin() *access.Service {
	store := a.db.Access()
	return &access.Service{Rules: store, Devices: store, Mail: store, Source: store, People: a.db.Users(), Compliance: a.rooms.compliance, Now: a.now}
}

// reasons tells owners of devices why.
func (a *App) reasons() *access.Teller {
	return &access.Teller{Links: a.rooms.links, Devices: a.accessAdmin(), Now: a.now}
}

// buildWebhooks wires who tells other addresses.
func (a *App) buildWebhooks(private bool) *access.Webhooks {
	store := a.db.Access()
	return &access.Webhooks{Store: store, Deliveries: store, Changes: store, Send: access.NewSender(private, nil), Woken: a.wake.Wait, Now: a.now, Log: a.room("webhooks")}
}

// buildPublisher wires who tells the feed what is decided.
func (a *App) buildPublisher(links access.Links) *access.Publisher {
	store := a.db.Access()
	return &access.Publisher{Source: store, Changes: store, Spoken: store, Register: store, Events: a.db.Outbox(), Links: links, Now: a.now, Log: a.room("access")}
}
