package enroll

import (
	"context"
	"fmt"

	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

// LeftTemplate is a mail template that is assigned to a phone's user and does not
// reach the phone, as another one has its place.
type LeftTemplate struct {
	Template string
	App      string // title of the mail app that it would set up; empty but on Android
	Package  string // of that app
	Winner   string // the template that has its place
	Reason   string // why that one has it
	Remedy   string // what to do should it be this one
}

// leftOut returns the templates that give way to others on a phone, in the order
// of their names; none for a phone that is given nothing any more.
func (s *Service) leftOut(ctx context.Context, row DeviceRow, u directory.User) ([]LeftTemplate, error) {
	if row.Enrollment.State.Ended() {
		return nil, nil
	}
	revisions, err := s.Templates.CurrentRevisions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	choose, onAndroid := templates.Choose, row.Device.Platform == mdm.Android
	if onAndroid {
		choose = templates.ChooseApps
	}
	_, lost := choose(revisions, u)
	var list []LeftTemplate
	for _, l := range lost {
		why := l.Refusal()
		left := LeftTemplate{Template: l.Revision.Name, Winner: l.Winner, Reason: why.Reason, Remedy: why.Remedy}
		if onAndroid {
			app := l.Revision.Spec.Android.MailApp()
			left.App, left.Package = app.Title(), string(app.Package())
		}
		list = append(list, left)
	}
	return list, nil
}
