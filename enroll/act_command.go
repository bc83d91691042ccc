package enroll

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/cms"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles/mobileconfig"
)

// errActFailed marks an act that cannot become a command; its text is told to
// whoever ordered it.
var errActFailed = errors.New("act cannot be carried out")

// derived reports whether an act is work that follows from what the device
// should have, in as many commands as it takes. Every other act is one command.
func derived(k mdm.ActionKind) bool {
	return k == mdm.ActionSelectiveWipe || k == mdm.ActionRemovePolicies || k == mdm.ActionResend
}

// actRequest is the RequestType of an act that is one command, and what it is
// about; empty for one in an admin's own words.
func actRequest(act mdm.Action, enrollmentProfile string) (requestType, subject string) {
	switch act.Kind {
	case mdm.ActionWipe:
		return eraseDevice, ""
	case mdm.ActionLock:
		return deviceLock, ""
	case mdm.ActionClearPasscode:
		return clearPasscode, ""
	case mdm.ActionRename:
		return settings, ""
	case mdm.ActionRetire:
		return removeProfile, enrollmentProfile
	case mdm.ActionQuery:
		return act.Parameters.Query, ""
	}
	return "", ""
}

// single is the one command that an act leads to.
func (s *Service) single(act mdm.Action) []PlannedCommand {
	requestType, subject := actRequest(act, s.enrollmentIdentifier())
	if act.Kind == mdm.ActionCommand {
		if raw, refused := s.parseRaw(act.Parameters.Raw); len(refused) == 0 {
			requestType = raw.RequestType()
		}
	}
	return []PlannedCommand{{requestType, subject}}
}

// actCommand makes the command of an act.
func (s *Service) actCommand(ctx context.Context, e mdm.Enrollment, act mdm.Action) (apple.Command, error) {
	switch act.Kind {
	case mdm.ActionWipe:
		return s.erase(ctx, e)
	case mdm.ActionLock:
		return apple.DeviceLock{Message: act.Parameters.Message, PhoneNumber: act.Parameters.PhoneNumber}, nil
	case mdm.ActionClearPasscode:
		push, err := s.Pushes.Push(ctx, e.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("read unlock token of enrolment %s: %w", e.ID, err)
		}
		if push.UnlockToken.IsZero() {
			return nil, fmt.Errorf("%w: the phone never sent the token that clears its passcode", errActFailed)
		}
		return apple.ClearPasscode{UnlockToken: push.UnlockToken}, nil
	case mdm.ActionRename:
		return apple.Settings{DeviceName: act.Parameters.Name}, nil
	case mdm.ActionRetire:
		return apple.RemoveProfile{Identifier: s.enrollmentIdentifier()}, nil
	case mdm.ActionQuery:
		return queryCommand(act.Parameters.Query, e.AccessRights)
	case mdm.ActionCommand:
		raw, refused := s.parseRaw(act.Parameters.Raw)
		if len(refused) > 0 {
			return nil, fmt.Errorf("%w: %s", errActFailed, refused[0].Reason)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("%w: %s is not one command", errActFailed, act.Kind)
}

// erase makes the one EraseDevice of this room. What is known of the enrolment
// may be as old as this request: it is read once more, since ownership may have
// changed meanwhile.
func (s *Service) erase(ctx context.Context, e mdm.Enrollment) (apple.Command, error) {
	now, err := s.Enrollments.EnrollmentByID(ctx, e.ID)
	if err != nil {
		return nil, fmt.Errorf("read enrolment %s before erasing: %w", e.ID, err)
	}
	if !now.MayErase() {
		return nil, fmt.Errorf("%w: %s", errActFailed, notErased)
	}
	return apple.EraseDevice{}, nil
}

// notErased is why a wipe fails that was in order when it was ordered.
const notErased = "the device is not corporate any more, and a personal device is never erased"

func queryCommand(query string, rights int) (apple.Command, error) {
	switch query {
	case askDevice:
		return apple.DeviceInformation{Queries: apple.DeviceQueriesFor(rights)}, nil
	case askSecurity:
		return apple.SecurityInfo{}, nil
	case askProfiles:
		return apple.ProfileList{}, nil
	case askCertificates:
		return apple.CertificateList{}, nil
	case askRestrictions:
		return apple.Restrictions{ProfileRestrictions: true}, nil
	case askApplications:
		return apple.InstalledApplicationList{}, nil
	case askManaged:
		return apple.ManagedApplicationList{}, nil
	}
	return nil, fmt.Errorf("%w: %q is no query", errActFailed, query)
}

// parseRaw reads a command in an admin's own words and refuses what has an act
// of its own: done behind the planner's back it would be undone at the next
// contact, or destroy what only a confirmed act may.
func (s *Service) parseRaw(body []byte) (apple.Raw, refusal.List) {
	raw, err := apple.ParseRaw(body)
	if err != nil {
		var list refusal.List
		for _, r := range refusal.All(err) {
			list.Add(refusal.New(ErrInvalid, strings.TrimSuffix("raw."+r.Field, "."), r.Reason, r.Remedy))
		}
		return raw, list
	}
	instead := func(what, act string) refusal.List {
		return refusal.List{refusal.New(ErrInvalid, "raw", what, "order the act "+act+" instead")}
	}
	identifier := raw.Text("Identifier")
	_, asks := queryRights()[raw.RequestType()]
	switch {
	case asks: // the answer to a part of a question would stand for all of it
		return raw, instead("asks for facts, and its answer would take the place of what is on record", string(mdm.ActionQuery))
	case apple.Erases(raw):
		return raw, instead("erases the phone", string(mdm.ActionWipe))
	case raw.RequestType() == removeProfile && strings.EqualFold(strings.TrimSpace(identifier), s.enrollmentIdentifier()):
		return raw, instead("removes the management profile", string(mdm.ActionRetire))
	case raw.RequestType() == removeProfile && ours(strings.ToLower(strings.TrimSpace(identifier))):
		return raw, instead("removes a profile of this server, which would install it again", string(mdm.ActionSelectiveWipe))
	case raw.RequestType() == installProfile && s.carriesOurs(raw.Data("Payload")):
		return raw, instead("installs a profile under an identifier of this server, or one that cannot be read here", string(mdm.ActionResend))
	}
	return raw, nil
}

// carriesOurs reports whether a profile, signed or not, goes by an identifier of
// ours. One that cannot be read may: a phone reads more encodings than we do.
func (s *Service) carriesOurs(payload []byte) bool {
	if content, _, err := cms.Open(payload, len(payload)); err == nil {
		payload = content
	}
	profile, err := mobileconfig.Decode(payload)
	if err != nil {
		return true
	}
	identifier, _ := profile["PayloadIdentifier"].(string)
	identifier = strings.ToLower(strings.TrimSpace(identifier))
	return ours(identifier) || identifier == s.enrollmentIdentifier()
}
