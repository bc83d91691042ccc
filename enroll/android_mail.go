package enroll

import (
	"context"
	"encoding/hex"

	"sallyport/enroll/directory"
	"sallyport/internal/logkey"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

// easPrefix begins the ActiveSync DeviceIds that we give: four letters, as the
// protocol wanted in its beginnings (MS-ASHTTP), and then 28 hexadecimal digits.
const easPrefix = "sply"

// easDeviceID is what the mail app of an Android phone is told to present. It is
// the same for every enrolment of a device, and nobody can tell it beforehand.
func (s *Service) easDeviceID(id mdm.DeviceID) string {
	return easPrefix + hex.EncodeToString(s.MAC(purposeEAS, []byte(id)))[:28]
}

// androidAccount is a mail account that an Android phone should have.
type androidAccount struct {
	AndroidMail
	app android.MailApp // zero where it cannot be made
}

func (a androidAccount) wanted() WantedProfile {
	return WantedProfile{Template: a.Name, Identifier: a.Identifier, UUID: a.UUID, Mail: true}
}

// androidMail renders the mail accounts of a user for one phone, one for each
// mail app. One that cannot be rendered stays in the list without UUID.
func (s *Service) androidMail(ctx context.Context, revisions []templates.Revision, have Have) ([]androidAccount, error) {
	chosen, lost, options, err := s.androidTemplates(ctx, revisions, have)
	if err != nil {
		return nil, err
	}
	for _, l := range lost {
		s.log().InfoContext(ctx, "template gives way to another one for the same mailbox or app", "template", l.Revision.Name,
			"winner", l.Winner, logkey.User, have.User.ID)
	}
	var list []androidAccount
	for _, c := range chosen {
		a := s.androidAccount(ctx, c.revision, have.User, options, c.in)
		if signsIn(c.revision) && have.awaitsKnox() {
			a.UUID = "" // it waits for the phone's report
		}
		list = append(list, a)
	}
	return list, nil
}

// signsIn reports whether the account of a template signs in by a certificate.
func signsIn(r templates.Revision) bool {
	return r.Spec.Accounts[0].Identity == profiles.IdentitySCEP
}

// androidTemplate is a template that reaches a phone, with what its app needs.
type androidTemplate struct {
	revision templates.Revision
	in       managedconfig.Inputs
}

// androidTemplates are those of a user's templates that reach one phone, and those
// that lose a mailbox or an app to one of them.
func (s *Service) androidTemplates(ctx context.Context, revisions []templates.Revision, have Have) ([]androidTemplate, []templates.Lost, templates.Options, error) {
	options := s.RenderOptions()
	options.Device = have.Report.Device
	schemas, err := s.androidSchemas(ctx)
	if err != nil {
		return nil, nil, options, err
	}
	won, lost := templates.ChooseApps(revisions, have.User)
	var list []androidTemplate
	signing := false // one of them signs in by a certificate
	for _, r := range won {
		in := managedconfig.Inputs{DeviceID: s.easDeviceID(have.Enrollment.DeviceID)}
		if have.bringsKeys() && !(have.knox() && signing) { // the plugin fetches one certificate
			in.Alias = keyAlias(r.Name)
			signing = signsIn(r)
		}
		if known, ok := schemas[r.Spec.Android.MailApp().Package()]; ok {
			in.Schema = &known.Schema
		}
		list = append(list, androidTemplate{r, in})
	}
	return list, lost, options, nil
}

func (s *Service) androidAccount(ctx context.Context, r templates.Revision, u directory.User, o templates.Options, in managedconfig.Inputs) androidAccount {
	a := androidAccount{AndroidMail: AndroidMail{Identifier: templates.ProfileIdentifier(r.TemplateID, u.ID), Name: r.Name}}
	made, err := templates.RenderManaged(r, u, o, in)
	if err != nil {
		if o.Device == nil && r.Spec.UsesDevice() {
			s.log().DebugContext(ctx, "template waits for the phone's report", "template", r.Name, logkey.User, u.ID)
		} else {
			s.log().ErrorContext(ctx, "template cannot be rendered for Android", "template", r.Name, "revision", r.Number, logkey.User, u.ID, "fields", fields(err))
		}
		return a
	}
	if a.UUID, err = bundleUUID(made.Rendering); err != nil {
		s.log().ErrorContext(ctx, "managed configuration cannot be written", "template", r.Name, logkey.Error, err)
		return a
	}
	a.Package = string(made.Package)
	if made.Package == managedconfig.GmailPackage { // the one that has a key for it
		a.EASDeviceID = in.DeviceID
	}
	if made.Alias {
		a.Alias = in.Alias
	}
	a.app = android.MailApp{Package: made.Package, Config: made.Bundle, Alias: a.Alias, Chrome: made.Chrome}
	return a
}

// bundleUUID tells one managed configuration of an app from every other.
func bundleUUID(r managedconfig.Rendering) (string, error) {
	text, err := r.Bundle.Encode()
	if err != nil {
		return "", err
	}
	return mobileconfig.UUID("android", string(r.Package), string(text)), nil
}
