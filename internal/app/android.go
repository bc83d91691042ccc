package app

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/internal/work"
	"sallyport/mdm/android"
)

// Periods of what happens behind Google's notifications.
const (
	policiesEvery   = 5 * time.Second // what became due without a wake-up: after a pause, or by another process
	tokensEvery     = time.Minute
	phonesEvery     = time.Minute // to see whether Google is to be asked for every device: its notifications may be lost
	operationsEvery = 5 * time.Minute
	setUpEvery      = 10 * time.Minute
	schemasEvery    = time.Hour
)

// androids is what leads Android phones.
type androids struct {
	service *enroll.Androids
	sweeper *enroll.Sweeper
	wake    *work.Wake // told when a phone became due
}

// buildAndroid wires it. Nobody at Google is called before an administrator signs up.
func (a *App) buildAndroid(s *enroll.Service, endpoint string) (*androids, error) {
	books := a.db.Android()
	r := &androids{wake: &work.Wake{}}
	r.service = &enroll.Androids{
		Service: s, Enterprises: books, Tickets: books, Phones: books, Policies: books, Operations: books, Lists: books, Companions: books, Notify: r.wake.Notify,
		Connect: func(ctx context.Context, account android.Account) (enroll.AndroidAPI, error) {
			client, err := android.NewClient(ctx, account, endpoint)
			if err != nil {
				return enroll.AndroidAPI{}, fmt.Errorf("make client of Google's API: %w", err)
			}
			return enroll.AndroidClient(client), nil
		},
	}
	s.Recall = r.service.Recall
	r.sweeper = &enroll.Sweeper{Androids: r.service}
	return r, r.service.Validate()
}

// workers are woken by wake, not by every commit: most of them make no phone due.
func (r *androids) workers() []work.Consumer {
	return []work.Consumer{
		{Name: "android policies", Every: policiesEvery, Step: r.service.Step},
		{Name: "android tokens", Every: tokensEvery, Step: r.service.ClearTokens},
	}
}

func (r *androids) periodic() []work.Consumer {
	return []work.Consumer{
		{Name: "android enterprise", Every: setUpEvery, Step: r.service.SetUp},
		{Name: "android phones", Every: phonesEvery, Step: r.sweeper.Phones},
		{Name: "android operations", Every: operationsEvery, Step: r.sweeper.Operations},
		{Name: "schemas of mail apps", Every: schemasEvery, Step: r.service.FetchSchemas},
	}
}
