package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// maxReason bounds the words with which an admin says why, in bytes.
const maxReason = 500

// People finds whom an admin names. internal/store implements it.
type People interface{ directory.Lookup }

// CompliancePolicies are what phones are held to. *compliance.Service is one.
type CompliancePolicies interface {
	Policies(ctx context.Context) ([]compliance.Policy, error)
}

// Service is what admins do: rules, policies, and words about single devices.
// Whatever touches devices can be asked first whom it would touch. Every act is
// in the trail with its reason.
type Service struct {
	Rules      RuleStore
	Devices    DeviceStore
	Mail       MailStore
	Source     Source // whom an act would touch
	People     People
	Compliance CompliancePolicies
	Now        func() time.Time // nil means time.Now
}

// World returns the default, every rule, and every policy in force.
func (s *Service) World(ctx context.Context) (World, error) {
	w, err := s.Rules.World(ctx)
	if err != nil {
		return World{}, fmt.Errorf("read access rules: %w", err)
	}
	return w, nil
}

// NewRule is a rule that an admin wants, with a new default along with it or
// none: an allow rule means something only where the default does not allow.
type NewRule struct {
	Rule    Rule   // its ID, By and times are given by the service
	Default Effect // set at once; empty: it stays
}

// PlanRule says what AddRule would do. The offer is the default that would make
// an allow rule mean something; empty where there is nothing to offer.
func (s *Service) PlanRule(ctx context.Context, n NewRule) (Impact, Effect, error) {
	r, err := s.prepare(ctx, n)
	if err != nil {
		return Impact{}, "", err
	}
	before, err := s.World(ctx)
	if err != nil {
		return Impact{}, "", err
	}
	after := before.and(r)
	if n.Default != "" {
		after.Default = n.Default
	}
	found, err := s.impact(ctx, before, after, &r)
	return found, offer(r, after.Default), err
}

// offer is the default that fits a new rule.
func offer(r Rule, standing Effect) Effect {
	if r.Effect == Allow && standing == Allow {
		return Quarantine
	}
	return ""
}

// AddRule adds a rule, and sets the default first if that is asked for: between
// the two acts somebody waits who need not, and nobody comes in who must not.
func (s *Service) AddRule(ctx context.Context, n NewRule) (Rule, Effect, error) {
	r, err := s.prepare(ctx, n)
	if err != nil {
		return Rule{}, "", err
	}
	before, err := s.World(ctx)
	if err != nil {
		return Rule{}, "", err
	}
	if n.Default != "" && n.Default != before.Default {
		if err := s.SetDefault(ctx, n.Default, r.Reason); err != nil {
			return Rule{}, "", err
		}
		before.Default = n.Default
	}
	entry := s.entry(ctx, "access.rule_add", string(r.ID), "effect", string(r.Effect), "criteria", r.Criteria(), "reason", r.Reason)
	if err := s.Rules.SaveRule(ctx, r, entry); err != nil {
		return Rule{}, "", fmt.Errorf("save access rule: %w", err)
	}
	return r, offer(r, before.Default), nil
}

// prepare checks a new rule and gives it what the service gives.
func (s *Service) prepare(ctx context.Context, n NewRule) (Rule, error) {
	var faults refusal.List
	faults.Add(refusal.All(n.Rule.Validate())...)
	faults.Add(checkReason(n.Rule.Reason))
	if n.Default != "" {
		faults.Add(checkEffect("default", n.Default))
	}
	if err := faults.OrNil(); err != nil {
		return Rule{}, err
	}
	r, now := n.Rule, s.now()
	r.ID, r.By, r.At, r.CreatedAt = RuleID(uuid.Must(uuid.NewV7()).String()), audit.Actor(ctx), now, now
	return r, nil
}

// RuleLike makes a rule for all devices of the kind of one on record, by "family"
// or by "model". It is not added yet.
func (s *Service) RuleLike(ctx context.Context, id DeviceID, by string, e Effect) (Rule, error) {
	row, err := s.device(ctx, id)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Effect: e}
	switch by {
	case "family":
		r.Family = row.Type
	case "model":
		r.Model = row.Model
	default:
		return Rule{}, refusal.New(ErrInvalid, "by", "is neither family nor model", "choose one of them")
	}
	if r.Family == "" && r.Model == "" {
		return Rule{}, refusal.New(ErrInvalid, "by", "the device has not told its "+by, "choose another one, or write the rule by hand")
	}
	return r, nil
}

// RemoveRule takes a rule back; ErrNotFound.
func (s *Service) RemoveRule(ctx context.Context, id RuleID, reason string) error {
	if fault := checkReason(reason); fault != nil {
		return fault
	}
	err := s.Rules.RemoveRule(ctx, id, s.entry(ctx, "access.rule_remove", string(id), "reason", reason))
	if errors.Is(err, ErrNotFound) {
		return refusal.New(ErrNotFound, "id", "there is no access rule "+strconv.Quote(string(id)), "list them to see the IDs: sallyport access rule list")
	}
	if err != nil {
		return fmt.Errorf("remove access rule %s: %w", id, err)
	}
	return nil
}

// PlanRemoval says what RemoveRule would do.
func (s *Service) PlanRemoval(ctx context.Context, id RuleID) (Impact, error) {
	before, err := s.World(ctx)
	if err != nil {
		return Impact{}, err
	}
	at := slices.IndexFunc(before.Rules, func(r Rule) bool { return r.ID == id })
	if at < 0 {
		return Impact{}, refusal.New(ErrNotFound, "id", "there is no access rule "+strconv.Quote(string(id)), "list them to see the IDs: sallyport access rule list")
	}
	after := before
	after.Rules = slices.Delete(slices.Clone(before.Rules), at, at+1)
	return s.impact(ctx, before, after, &before.Rules[at])
}

// SetDefault says what happens to devices of which nothing else is said.
func (s *Service) SetDefault(ctx context.Context, e Effect, reason string) error {
	var faults refusal.List
	faults.Add(checkEffect("default", e), checkReason(reason))
	if err := faults.OrNil(); err != nil {
		return err
	}
	if err := s.Rules.SetDefault(ctx, e, s.entry(ctx, "access.default", string(e), "reason", reason)); err != nil {
		return fmt.Errorf("set access default: %w", err)
	}
	return nil
}

// PlanDefault says what SetDefault would do.
func (s *Service) PlanDefault(ctx context.Context, e Effect) (Impact, error) {
	if fault := checkEffect("default", e); fault != nil {
		return Impact{}, fault
	}
	before, err := s.World(ctx)
	if err != nil {
		return Impact{}, err
	}
	after := before
	after.Default = e
	return s.impact(ctx, before, after, nil)
}

func checkEffect(field string, e Effect) *refusal.Error {
	if e != Allow && e != Quarantine && e != Block {
		return refusal.New(ErrInvalid, field, "is none of allow, quarantine and block", "choose one of them")
	}
	return nil
}

func checkReason(reason string) *refusal.Error {
	if strings.TrimSpace(reason) == "" {
		return refusal.New(ErrInvalid, "reason", "is empty", "say why: it stands in the trail for whoever asks later")
	}
	return refusal.Line(ErrInvalid, "reason", reason, maxReason)
}

func (s *Service) entry(ctx context.Context, action, target string, detail ...string) audit.Entry {
	return audit.New(ctx, s.now(), action, target, audit.Done, detail...)
}

func (s *Service) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}
