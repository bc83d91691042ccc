package app

import (
	"context"
	"time"

	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/internal/work"
)

// buildCompliance wires the judge of phones with those who know and lead them.
func (a *App) buildCompliance(phones *enroll.Service) (*compliance.Service, *work.Wake) {
	wake, books := &work.Wake{}, a.db.Compliance()
	s := &compliance.Service{
		Store: books, Runs: books, Watch: books, Expecter: phones, Retirer: phones,
		Wake: wake.Notify, Now: a.now, Log: a.room("compliance"),
	}
	phones.Demands = s
	return s, wake
}

// judges evaluate all phones after a change of a policy or a template. They have a
// wake-up of their own, and pause for half of the time that they take, so that
// neither phones nor other verdicts wait for them.
func (a *App) judges() []work.Consumer {
	return []work.Consumer{{Name: "compliance run", Every: outboxEvery, Step: func(ctx context.Context) (bool, error) {
		began := time.Now()
		more, err := a.rooms.compliance.Step(ctx)
		if more && err == nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Since(began) / 2):
			}
		}
		return more, err
	}}}
}

// watchers do what is due where phones do not comply.
func (a *App) watchers() []work.Consumer {
	return []work.Consumer{
		{Name: "compliance actions", Every: sweepEvery, Step: a.rooms.compliance.Act},
		{Name: "compliance notices", Every: sweepEvery, Step: a.rooms.compliance.Deliver},
	}
}
