package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

// assignment is a profile that a user should have on a phone: one of a mail
// template, or that of the security policy, rendered where it can be.
type assignment struct {
	name       string // of template or policy, for people
	identifier string
	mail       bool
	uuid       string               // top-level PayloadUUID; empty when it could not be rendered
	profile    mobileconfig.Profile // of a security policy
	rendered   templates.Rendered   // of a template
	awaited    string               // what uuid is going to be like: of one that only lacks S/MIME keys, as it can be shown
}

func (a assignment) wanted() WantedProfile {
	return WantedProfile{Template: a.name, Identifier: a.identifier, UUID: a.uuid, Mail: a.mail}
}

// assigned renders what a user should have on a phone that reported these facts
// (nil: none yet): the security policy first, then the templates. One that
// cannot be rendered stays in the list: it is wanted, and nothing can be
// installed. A template that loses its mailbox to another one is not in it, nor
// is what an admin keeps from the phone. keysOf is smimeKeys for who delivers, and
// knownKeys for who looks.
func (s *Service) assigned(ctx context.Context, at Catalog, u directory.User, device *mdm.DeviceFacts, withheld mdm.Withholding, keysOf keyLookup) ([]assignment, error) {
	if withheld == mdm.WithholdEverything {
		return nil, nil
	}
	all, err := s.catalog(ctx, at)
	if err != nil {
		return nil, err
	}
	key := renderKey{u.ID, device != nil, withheld}
	if known, ok := all.find(key, u); ok {
		keys, err := keysOf(ctx, u, known.usages)
		if err == nil && sameKeys(keys, known.keys) {
			return known.assigned, nil
		}
		if err != nil { // what was made before is as good as it was
			s.withoutKeys(ctx, "S/MIME keys cannot be looked at: profiles stay as they are", u, err)
			return known.assigned, ctx.Err()
		}
	}
	var list []assignment
	if withheld != mdm.WithholdPolicies {
		if policy, ok := templates.ChooseSecurity(all.policies, u); ok {
			list = append(list, s.security(ctx, policy, u))
		}
	}
	won, lost, options, err := s.chosenOf(ctx, all.templates, u, device, keysOf)
	if err != nil {
		return nil, err
	}
	for _, l := range lost {
		s.log().InfoContext(ctx, "template gives way to another one for the same mailbox", "template", l.Revision.Name,
			"winner", l.Winner, logkey.User, u.ID)
	}
	for _, revision := range won {
		list = append(list, s.mail(ctx, revision, u, options))
	}
	all.keep(key, u, won, options.SMIME, list)
	return list, nil
}

// chosen returns the templates that a user gets, those that lose, and what
// rendering them needs, for whoever looks: no S/MIME key is made for it.
func (s *Service) chosen(ctx context.Context, u directory.User, device *mdm.DeviceFacts) ([]templates.Revision, []templates.Lost, templates.Options, error) {
	revisions, err := s.Templates.CurrentRevisions(ctx)
	if err != nil {
		return nil, nil, templates.Options{}, fmt.Errorf("read templates: %w", err)
	}
	return s.chosenOf(ctx, revisions, u, device, s.knownKeys)
}

// chosenOf opens secrets, and asks keysOf for S/MIME keys, only for templates that
// name some.
func (s *Service) chosenOf(ctx context.Context, revisions []templates.Revision, u directory.User, device *mdm.DeviceFacts, keysOf keyLookup) (_ []templates.Revision, _ []templates.Lost, _ templates.Options, err error) {
	options := s.RenderOptions()
	options.Device = device
	won, lost := templates.Choose(revisions, u)
	if slices.ContainsFunc(won, func(r templates.Revision) bool { return len(r.Spec.Secrets()) > 0 }) {
		if options.Secrets, err = s.Secrets.SecretsFor(ctx, u.ID); err != nil {
			return nil, nil, options, fmt.Errorf("read secrets of user %s: %w", u.ID, err)
		}
	}
	if options.SMIME, err = keysOf(ctx, u, usagesOf(won)); err != nil {
		if ctx.Err() != nil || !errors.Is(err, errUnmade) {
			return nil, nil, options, err
		}
		s.withoutKeys(ctx, "S/MIME keys cannot be made: profiles that need them are left out", u, err)
	}
	return won, lost, options, nil
}

func (s *Service) mail(ctx context.Context, r templates.Revision, u directory.User, o templates.Options) assignment {
	a := assignment{name: r.Name, identifier: templates.ProfileIdentifier(r.TemplateID, u.ID), mail: true}
	rendered, err := templates.Render(r, u, o)
	switch {
	case err == nil && rendered.AwaitsKeys: // who delivers has said why
		a.awaited = rendered.Profile.TopUUID()
	case err == nil:
		a.rendered, a.uuid = rendered, rendered.Profile.TopUUID()
	case o.Device == nil && r.Spec.UsesDevice():
		// Its turn comes when the phone has reported: device facts are asked first.
		s.log().DebugContext(ctx, "template waits for the phone's report", "template", r.Name, logkey.User, u.ID)
	default:
		s.log().ErrorContext(ctx, "template cannot be rendered", "template", r.Name,
			"revision", r.Number, logkey.User, u.ID, "fields", fields(err))
	}
	return a
}

func (s *Service) security(ctx context.Context, r templates.SecurityRevision, u directory.User) assignment {
	a := assignment{name: r.Name, identifier: templates.SecurityIdentifier(u.ID)}
	profile, err := templates.RenderSecurity(r, u, templates.Options{Organization: s.Organization})
	if err != nil {
		s.log().ErrorContext(ctx, "security policy cannot be rendered", "policy", r.Name,
			"revision", r.Number, logkey.User, u.ID, "fields", fields(err))
		return a
	}
	a.profile, a.uuid = profile, profile.TopUUID()
	return a
}

// fields names what a refusal is about. Its text may hold the user's mail
// address, which has no place in a log.
func fields(err error) string {
	var names []string
	for _, e := range refusal.All(err) {
		names = append(names, e.Field)
	}
	return strings.Join(names, ", ")
}

func (s *Service) want(assigned []assignment) Want {
	want := Want{InquiryMaxAge: s.InquiryMaxAge, EnrollmentProfile: s.enrollmentIdentifier()}
	for _, a := range assigned {
		want.Profiles = append(want.Profiles, a.wanted())
	}
	return want
}

// wanted is what a phone would have if nothing were kept from it.
func (s *Service) wanted(ctx context.Context, e mdm.Enrollment, r mdm.Report) (Want, error) {
	user, err := s.Users.UserByID(ctx, e.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return s.want(nil), nil
	}
	if err != nil {
		return Want{}, fmt.Errorf("look up user of enrolment %s: %w", e.ID, err)
	}
	list, err := s.assigned(ctx, Catalog{}, user, r.Device, mdm.WithholdNothing, s.knownKeys)
	return s.want(s.foreseen(list, user)), err
}
