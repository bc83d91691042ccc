package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// Policy returns the newest revision of a policy in force; ErrNotFound.
func (s *Service) Policy(ctx context.Context, name string) (Policy, error) {
	w, err := s.World(ctx)
	if err != nil {
		return Policy{}, err
	}
	for _, p := range w.Policies {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, missingPolicy(name)
}

func missingPolicy(name string) error {
	return refusal.New(ErrNotFound, "name", "there is no conditional-access policy "+strconv.Quote(name)+" in force", "list them to see the names: sallyport access policy list")
}

// ApplyPolicy accepts a policy as an admin wrote it. Applying the same text again
// changes nothing. The warnings keep nothing from being done.
func (s *Service) ApplyPolicy(ctx context.Context, source []byte) (Policy, bool, []*refusal.Error, error) {
	spec, warnings, err := s.readPolicy(ctx, source)
	if err != nil {
		return Policy{}, false, nil, err
	}
	p := Policy{Name: spec.Name, Spec: spec, Source: string(source), CreatedAt: s.now(), CreatedBy: audit.Actor(ctx)}
	stored, changed, err := s.Rules.SavePolicy(ctx, p, s.entry(ctx, "access.policy", p.Name, "mode", string(spec.Mode), "require", names(spec.Require)))
	if err != nil {
		return Policy{}, false, nil, fmt.Errorf("save conditional-access policy %s: %w", p.Name, err)
	}
	return stored, changed, warnings, nil
}

// PlanPolicy says what ApplyPolicy would do.
func (s *Service) PlanPolicy(ctx context.Context, source []byte) (Impact, []*refusal.Error, error) {
	spec, warnings, err := s.readPolicy(ctx, source)
	if err != nil {
		return Impact{}, nil, err
	}
	before, err := s.World(ctx)
	if err != nil {
		return Impact{}, nil, err
	}
	found, err := s.impact(ctx, before, before.with(spec), nil)
	return found, warnings, err
}

// readPolicy returns what is odd about a policy beside what is wrong with it.
func (s *Service) readPolicy(ctx context.Context, source []byte) (Spec, []*refusal.Error, error) {
	spec, err := ParsePolicy(source)
	if err != nil {
		return Spec{}, nil, err
	}
	if spec.Assign.Nobody() {
		return spec, nil, nil
	}
	var list refusal.List
	for _, part := range []struct {
		field string
		names directory.Audience
	}{{"assign", spec.Assign}, {"except", spec.Except}} {
		unreached, err := directory.Unreached(ctx, s.People, ErrInvalid, part.field, part.names)
		if err != nil {
			return Spec{}, nil, err
		}
		list = append(list, unreached...)
	}
	if spec.Mode == Enforce && spec.Assign.Everyone && len(spec.BreakGlass) == 0 {
		list.Add(refusal.New(ErrInvalid, "break_glass", "the policy is enforced for everyone, admins too", "name a user under break_glass by whom you get at your mail when everything else fails"))
	}
	for i, upn := range spec.BreakGlass {
		_, err := s.People.UserByUPN(ctx, upn)
		if errors.Is(err, directory.ErrNotFound) {
			list.Add(refusal.New(ErrInvalid, fmt.Sprintf("break_glass[%d]", i), "there is no user "+strconv.Quote(upn), "add the user, or name one who is there"))
		} else if err != nil {
			return Spec{}, nil, fmt.Errorf("look for break-glass user: %w", err)
		}
	}
	if slices.Contains(spec.Require, RequireMailProfile) || slices.Contains(spec.Require, RequireCompliant) {
		warning, err := s.unasked(ctx, spec)
		if err != nil {
			return Spec{}, nil, err
		}
		list.Add(warning)
	}
	return spec, list, nil
}

// unasked warns of a requirement that no compliance policy gives an answer to.
func (s *Service) unasked(ctx context.Context, spec Spec) (*refusal.Error, error) {
	policies, err := s.Compliance.Policies(ctx)
	if err != nil {
		return nil, fmt.Errorf("read compliance policies: %w", err)
	}
	assigned, asked := false, false
	for _, p := range policies {
		assigned = assigned || !p.Spec.Assign.Nobody()
		asked = asked || !p.Spec.Assign.Nobody() && p.Spec.Rules.MailProfile
	}
	switch {
	case !assigned:
		return refusal.New(ErrInvalid, "require", "no compliance policy is assigned to anybody: nobody passes", "apply one: sallyport compliance apply"), nil
	case !asked && slices.Contains(spec.Require, RequireMailProfile):
		return refusal.New(ErrInvalid, "require", "no compliance policy asks for the mail profile: nobody passes", "write mail_profile: true in the compliance policy of these users"), nil
	}
	return nil, nil
}

// SetMail turns ActiveSync off or on for a user. The directory's ErrNotFound for
// one who is not on record.
func (s *Service) SetMail(ctx context.Context, upn string, on bool, reason string) error {
	if fault := checkReason(reason); fault != nil {
		return fault
	}
	u, err := s.People.UserByUPN(ctx, upn)
	if err != nil {
		return fmt.Errorf("find user: %w", err)
	}
	action, off := "user.mail_on", (*Note)(nil)
	if !on {
		action, off = "user.mail_off", &Note{By: audit.Actor(ctx), At: s.now(), Reason: strings.TrimSpace(reason)}
	}
	if err := s.Mail.SetMail(ctx, u.ID, off, s.entry(ctx, action, u.UPN, "reason", reason)); err != nil {
		return fmt.Errorf("set mail of user: %w", err)
	}
	return nil
}

// Said is what admins said of one user that holds now.
type Said struct {
	MailOff  *Note      // nil: mail on phones is on
	Personal []Personal // of single mail clients, come already or not, and of all
}

// SaidOf returns it; the directory's ErrNotFound for one who is not on record.
func (s *Service) SaidOf(ctx context.Context, upn string) (Said, error) {
	u, err := s.People.UserByUPN(ctx, upn)
	if err != nil {
		return Said{}, fmt.Errorf("find user: %w", err)
	}
	entries, err := s.Source.EntriesOf(ctx, []directory.UserID{u.ID})
	if err != nil {
		return Said{}, fmt.Errorf("read people: %w", err)
	}
	var said Said
	for _, e := range entries {
		said.MailOff = e.Person.MailOff
		for _, p := range e.Personal {
			if p.ExpiresAt.IsZero() || s.now().Before(p.ExpiresAt) {
				said.Personal = append(said.Personal, p)
			}
		}
	}
	return said, nil
}
