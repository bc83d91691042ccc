package app

import (
	"context"

	"sallyport/mdm"
)

// StopDatabase closes the database under a server that runs on.
func (a *App) StopDatabase() error { return a.db.Close() }

// PushOf is what is sealed of an enrolment's push data.
func (a *App) PushOf(ctx context.Context, id string) (mdm.Push, error) {
	return a.db.Enrollments().Push(ctx, mdm.EnrollmentID(id))
}
