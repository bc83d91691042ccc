package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/logkey"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
	"sallyport/templates"
)

// policyID is the last part of the name of a phone's own policy.
func policyID(id mdm.EnrollmentID) string { return "d-" + strings.ReplaceAll(string(id), "-", "") }

// androidWant is what a phone should have.
type androidWant struct {
	policy   android.Policy
	bare     android.Policy   // without the companion app; zero where there is none in it
	accounts []androidAccount // that are in it
	keys     []AgentKey       // that the companion app is told of in it
	knox     knoxKey          // that the Knox Service Plugin is told of in it; zero: none
	kept     error            // why the companion app is not in it, and mail waits for no key; errKept or nil
}

// errKept says that a phone keeps the policy that it has, and why.
var errKept = errors.New("policy is left as it is")

// androidWanted derives a phone's policy. errKept where it is better left alone: its
// user was removed (the mailbox is shut to it), or an account that it has cannot be
// rendered any more, so that leaving it out would take mail away over a mistake.
func (s *Service) androidWanted(ctx context.Context, have Have, p AndroidPhone) (androidWant, error) {
	e := have.Enrollment
	in := android.PolicyInput{Mode: p.Mode, Ownership: e.Ownership}
	if have.Report.Device != nil {
		in.OSVersion = have.Report.Device.OSVersion
	}
	if have.Report.Policy != nil {
		in.Told = have.Report.Policy.Ownership
	}
	if have.User.ID == "" {
		return androidWant{}, fmt.Errorf("%w: the user was removed", errKept)
	}
	all, err := s.catalog(ctx, have.Catalog)
	if err != nil {
		return androidWant{}, err
	}
	if policy, ok := templates.ChooseSecurity(all.policies, have.User); ok && e.Withheld == mdm.WithholdNothing {
		in.Security, in.Android = policy.Spec.Settings, policy.Spec.Android
	}
	var want androidWant
	if e.Withheld != mdm.WithholdEverything {
		if want.accounts, err = s.androidAccounts(ctx, all.templates, have, p); err != nil {
			return androidWant{}, err
		}
	}
	for _, a := range want.accounts {
		in.Mail = append(in.Mail, a.app)
	}
	if have.bringsKeys() {
		if want.keys, err = s.agentKeys(ctx, have, mails(want.accounts)); err != nil {
			return androidWant{}, err
		}
		if in.Companion, err = s.companionOf(ctx, have, &want); err != nil {
			return androidWant{}, err
		}
	}
	if want.policy, _, err = android.BuildPolicy(in); err == nil && in.Companion != nil {
		in.Companion = nil
		want.bare, _, err = android.BuildPolicy(in)
	}
	if err != nil {
		return androidWant{}, fmt.Errorf("%w: %w", errKept, err)
	}
	return want, nil
}

// companionOf is the app that fetches what want.keys names. Without a schema that says
// how the plugin is told, the rest of the policy goes out.
func (s *Service) companionOf(ctx context.Context, have Have, want *androidWant) (c *android.Companion, err error) {
	if !have.knox() {
		return s.companion(have, want.keys), nil
	}
	c, want.knox, err = s.knoxCompanion(ctx, have, want.keys)
	if errors.Is(err, managedconfig.ErrSchema) {
		want.keys, want.kept = nil, fmt.Errorf("%w: no certificate is fetched: %w", errKept, err)
		return nil, nil
	}
	return c, err
}

func mails(accounts []androidAccount) []AndroidMail {
	list := make([]AndroidMail, len(accounts))
	for i, a := range accounts {
		list[i] = a.AndroidMail
	}
	return list
}

// androidAccounts are those that can be given to a phone now: not those that wait
// for a place in the mailbox.
func (s *Service) androidAccounts(ctx context.Context, revisions []templates.Revision, have Have, p AndroidPhone) ([]androidAccount, error) {
	list, err := s.androidMail(ctx, revisions, have)
	if err != nil {
		return nil, err
	}
	why, err := s.crowded(ctx, have)
	if err != nil {
		return nil, err
	}
	if why != nil {
		s.log().InfoContext(ctx, "mail account waits: the mailbox is full", logkey.Enrollment, have.Enrollment.ID,
			logkey.User, have.User.ID, "devices", why.used, "limit", why.limit)
	}
	var now []androidAccount
	for _, a := range list {
		has := slices.ContainsFunc(p.Sent.Mail, func(m AndroidMail) bool { return m.Identifier == a.Identifier })
		switch {
		case a.UUID == "" && has:
			return nil, fmt.Errorf("%w: template %s cannot be rendered for this user", errKept, a.Name)
		case a.UUID == "", why != nil && !has:
		default:
			now = append(now, a)
		}
	}
	return now, nil
}

// send gives Google what a phone should have, where it was told otherwise, and
// notes in p what it took. Mail apps are changed alone where nothing else differs.
func (a *Androids) send(ctx context.Context, api AndroidAPI, enterprise string, p *AndroidPhone, want androidWant) error {
	id := policyID(p.EnrollmentID)
	name := enterprise + "/policies/" + id
	hash, mailHash := want.policy.Hash(), want.policy.MailHash()
	patch := func() (int64, error) { return api.PatchPolicy(ctx, name, want.policy) }
	var version int64
	var err error
	switch {
	case p.Sent.Name != id || p.Sent.Hash != hash:
		version, err = patch()
	case p.Sent.MailHash != mailHash:
		version, err = api.ModifyApplications(ctx, name, want.policy.Mail())
		if gone(err) {
			version, err = patch()
		}
	}
	if err != nil {
		return fmt.Errorf("send policy: %w", err)
	}
	if version != 0 {
		bare := want.bareHash()
		if p.Sent.Name != id || p.Sent.BareHash != bare || p.Sent.Since == 0 {
			p.Sent.Since = version
		}
		p.Sent.BareHash = bare
		p.Sent.Mail = carried(p.Sent, want.accounts, version)
		p.Sent.Name, p.Sent.Hash, p.Sent.MailHash, p.Sent.Version = id, hash, mailHash, version
		p.Sent.Keys, p.Sent.KnoxAt = revisions(want.keys), want.knox.at
	}
	if p.Sent.Assigned {
		return nil
	}
	if err := api.SetPolicy(ctx, p.Name, id); err != nil {
		return fmt.Errorf("give policy to device: %w", err)
	}
	p.Sent.Assigned = true
	return nil
}

// bareHash stands for all that a phone should have but the companion app.
func (w androidWant) bareHash() string {
	bare := w.policy
	if !w.bare.IsZero() {
		bare = w.bare
	}
	return bare.Hash() + " " + bare.MailHash()
}

// carried are the accounts of a policy's new version. One that was in it as it is
// counts since then: a phone has it before it has taken the new version.
func carried(before AndroidPolicy, accounts []androidAccount, version int64) []AndroidMail {
	var list []AndroidMail
	for _, account := range accounts {
		m := account.AndroidMail
		m.Since = version
		if i := slices.IndexFunc(before.Mail, func(old AndroidMail) bool { return old.Identifier == m.Identifier && old.UUID == m.UUID }); i >= 0 {
			m.Since = before.Mail[i].Since
		}
		list = append(list, m)
	}
	return list
}

// dismiss takes back what a phone was given whose enrolment has ended, and has Google
// forget it: it names a mailbox. It may be gone there, which is as good.
func (a *Androids) dismiss(ctx context.Context, api AndroidAPI, enterprise string, p *AndroidPhone) error {
	if p.Sent.Name != "" {
		if err := api.SetPolicy(ctx, p.Name, android.BasePolicyID); err != nil && !gone(err) {
			return fmt.Errorf("take policy back: %w", err)
		}
		err := api.DeletePolicy(ctx, enterprise+"/policies/"+p.Sent.Name)
		problem := (*android.Problem)(nil)
		switch {
		case err == nil, gone(err):
		case errors.As(err, &problem) && problem.Final():
			a.log().WarnContext(ctx, "policy of an enrolment that has ended stays at Google", logkey.Enrollment, p.EnrollmentID, logkey.Error, err)
		default:
			return fmt.Errorf("delete policy: %w", err)
		}
	}
	p.Sent = AndroidPolicy{}
	return nil
}

// gone reports whether Google does not know (any more) what was named.
func gone(err error) bool {
	problem := (*android.Problem)(nil)
	return errors.As(err, &problem) && problem.NotFound()
}

// androidProfiles are the mail accounts that a phone should have, as profiles.
func (s *Service) androidProfiles(ctx context.Context, have Have) ([]WantedProfile, error) {
	all, err := s.catalog(ctx, have.Catalog)
	if err != nil {
		return nil, err
	}
	accounts, err := s.androidMail(ctx, all.templates, have)
	if err != nil {
		return nil, err
	}
	var wanted []WantedProfile
	for _, a := range accounts {
		wanted = append(wanted, a.wanted())
	}
	return wanted, nil
}

// confirm turns Enrolled into Configured once the phone has all its mail, and
// back when an admin takes it away. due says that it has something else than it
// should have, so that its policy is to be looked at.
func (a *Androids) confirm(ctx context.Context, have Have) (due bool, err error) {
	s, e := a.Service, have.Enrollment
	var want Want
	if have.User.ID != "" && e.Withheld != mdm.WithholdEverything {
		if want.Profiles, err = s.androidProfiles(ctx, have); err != nil {
			return false, err
		}
	}
	has := Confirmed(want, have.Report)
	from, to := mdm.Enrolled, mdm.Configured
	switch {
	case e.State == mdm.Enrolled && has:
	case e.State == mdm.Configured && e.Withheld == mdm.WithholdEverything:
		from, to = to, from
	default:
		return !has && len(want.Profiles) > 0, nil
	}
	if err := s.Plans.Advance(ctx, e.ID, from, to); err != nil && !errors.Is(err, ErrConflict) {
		return false, fmt.Errorf("advance enrolment %s: %w", e.ID, err)
	}
	return !has, nil
}
