package enroll

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/profiles/managedconfig"
	"sallyport/templates"
)

// androidSettings says what the mail apps of an Android phone should have, and how
// far they have it.
func (s *Service) androidSettings(ctx context.Context, m *MailSettings, have Have) error {
	m.Android = &AndroidGiven{Policy: have.Sent.Name, Version: have.Sent.Version, Trouble: have.Trouble}
	if said := have.Report.Policy; said != nil {
		m.Android.Applied, m.Android.AppliedVersion, m.Android.ReportedAt = said.Applied, said.Version, said.At
	}
	revisions, err := s.Templates.CurrentRevisions(ctx)
	if err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	chosen, _, options, err := s.androidTemplates(ctx, revisions, have)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		p, left := androidProfile(c, have.User, options, have)
		m.Profiles = append(m.Profiles, p)
		if len(left) > 0 {
			m.Warnings = append(m.Warnings, fmt.Sprintf("Of template %s these accounts do not reach the phone, since the mail app takes one: %s.", c.revision.Name, strings.Join(left, ", ")))
		}
	}
	return nil
}

// androidProfile is one mail account as its app should have it; left are the
// template's other accounts.
func androidProfile(c androidTemplate, u directory.User, o templates.Options, have Have) (p MailProfile, left []string) {
	r := c.revision
	app := r.Spec.Android.MailApp()
	p = MailProfile{Template: r.Name, Identifier: templates.ProfileIdentifier(r.TemplateID, u.ID), DisplayName: app.Title(), Package: string(app.Package())}
	made, err := templates.RenderManaged(r, u, o, c.in)
	if err == nil {
		p.UUID, err = bundleUUID(made.Rendering)
	}
	if err != nil {
		p.State, p.Faults = MailUnmade, refusal.All(err)
		return p, nil
	}
	p.State, p.Reason = p.onAndroid(have.Report)
	p.Accounts = []MailAccount{{Name: made.Account.Name, Rows: keyRows(made.Bundle)}}
	return p, made.Left
}

// onAndroid is how an account stands by what the phone told last, and what it
// complains of.
func (p MailProfile) onAndroid(r mdm.Report) (MailProfileState, string) {
	if r.Policy == nil {
		return MailUnknown, ""
	}
	state := p.listed(r.Profiles)
	if state == MailInstalled {
		return state, ""
	}
	if reason := (AndroidMail{Package: p.Package}).trouble(*r.Policy); reason != "" {
		return MailRefused, reason
	}
	return state, ""
}

// keyRows are the keys of a managed configuration in the order of their names.
func keyRows(b managedconfig.Bundle) []MailRow {
	rows := make([]MailRow, 0, len(b))
	for _, key := range slices.Sorted(maps.Keys(b)) {
		value, isText := b[key].(string)
		if !isText {
			text, err := json.Marshal(b[key])
			if err != nil { // a bundle holds nothing that JSON does not know
				continue
			}
			value = string(text)
		}
		rows = append(rows, MailRow{Label: key, Value: value})
	}
	return rows
}

// googleWarnings say what is wrong with an Android phone at Google.
func googleWarnings(have Have) []string {
	if have.Enrollment.State.Ended() {
		return nil
	}
	var list []string
	if !have.MissingSince.IsZero() {
		list = append(list, "Google does not know this phone any more, since "+have.MissingSince.UTC().Format(time.DateTime)+" UTC: it was deleted there, or its work profile was removed. "+
			"The phone keeps what it has. When Google's next list lacks it, too, its enrolment ends and the mailbox is shut to it. To manage it again, invite its user anew.")
	}
	if have.Trouble != "" {
		list = append(list, "This phone could not be given what it should have: "+have.Trouble+". It keeps what it has, and it is tried again.")
	}
	return list
}
