package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Statuses of a poll
// (https://developer.apple.com/documentation/devicemanagement/implementing_device_management).
const (
	statusIdle         = "Idle"
	statusAcknowledged = "Acknowledged"
	statusError        = "Error"
	statusFormatError  = "CommandFormatError"
	statusNotNow       = "NotNow"
)

// maxCommands bounds one polling round: a server that never stops sending
// commands would keep a phone awake for ever.
const maxCommands = 200

// Connect is one polling round: Idle, then a result for every command, until
// the server has nothing more. An enrolment that was interrupted is finished first.
func (p *Phone) Connect(ctx context.Context) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	if p.s.Stage == StageNone {
		return ErrNotEnrolled
	}
	if err := p.finish(ctx); err != nil {
		return err
	}
	return p.poll(ctx)
}

func (p *Phone) poll(ctx context.Context) error {
	message, what := p.s.Answer, "result"
	if message == nil {
		var err error
		if message, err = encodePlist(map[string]any{"Status": statusIdle, "UDID": p.s.Facts.UDID}); err != nil {
			return fmt.Errorf("poll: %w", err)
		}
		what = "poll"
	}
	postponed := 0
	for range maxCommands {
		body, err := p.put(ctx, request{what: what, url: p.s.Enrolment.ServerURL, body: message}, commandType)
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return p.rest(postponed)
		}
		done, err := p.obey(ctx, body)
		if err != nil {
			return err
		}
		if done.status == statusNotNow {
			postponed++
		}
		message, what = p.s.Answer, "result of "+done.name
		if done.leave { // the server removed the enrolment profile
			if _, err := p.put(ctx, request{what: what, url: p.s.Enrolment.ServerURL, body: message}, commandType); err != nil {
				return err
			}
			return p.unenroll(ctx)
		}
	}
	return fmt.Errorf("%w: the server sent more than %d commands in one connection", ErrProtocol, maxCommands)
}

// rest ends a round: the server has everything.
func (p *Phone) rest(postponed int) error {
	p.s.Answer = nil
	if err := p.save(); err != nil {
		return err
	}
	switch postponed {
	case 0:
		p.tell("done", "nothing more to do")
	case 1:
		p.tell("done", "1 command waits until the phone is unlocked")
	default:
		p.tell("done", "%d commands wait until the phone is unlocked", postponed)
	}
	return nil
}

// outcome is what became of one command.
type outcome struct {
	name   string         // RequestType
	status string         // of the result
	keys   map[string]any // response keys
	chain  []any          // ErrorChain
	told   string         // for people
	events []string       // accounts that were installed
	leave  bool           // remove the management once the result is delivered
}

// command is what a server sends
// (https://developer.apple.com/documentation/devicemanagement/commands_and_queries).
type command struct {
	id   string
	name string
	args *reader
}

func parseCommand(body []byte) (command, error) {
	d, err := decodeDict(body)
	if err != nil {
		return command{}, fmt.Errorf("%w: command: %w", ErrProtocol, err)
	}
	r := &reader{d: d}
	c := command{id: r.need("CommandUUID"), args: &reader{d: r.dict("Command", true)}}
	if r.err != nil {
		return command{}, fmt.Errorf("%w: command: %w", ErrProtocol, r.err)
	}
	c.name = c.args.need("RequestType")
	return c, nil
}

// obey carries a command out and keeps its result together with what it
// changed, in one write, before the result leaves.
func (p *Phone) obey(ctx context.Context, body []byte) (outcome, error) {
	c, err := parseCommand(body)
	if err != nil {
		return outcome{}, err
	}
	o, err := p.execute(ctx, c)
	if err != nil {
		return o, err
	}
	result := map[string]any{"UDID": p.s.Facts.UDID, "CommandUUID": c.id, "Status": o.status}
	for k, v := range o.keys {
		result[k] = v
	}
	if len(o.chain) > 0 {
		result["ErrorChain"] = o.chain
	}
	p.s.Pending = nil // a command that is answered leaves no certificate request behind
	if p.s.Answer, err = encodePlist(result); err != nil {
		return o, fmt.Errorf("result of %s: %w", c.name, err)
	}
	if err := p.save(); err != nil {
		return o, err
	}
	text := c.name + "  " + spoken[o.status]
	if o.told != "" {
		text += "  " + o.told
	}
	p.tell("command", "%s", text)
	for _, e := range o.events {
		p.tell("EAS profile installed", "%s", e)
	}
	return o, p.disk.forget(p.s)
}

// spoken are the statuses in the words of the story.
var spoken = map[string]string{
	statusAcknowledged: "acknowledged", statusError: "refused", statusFormatError: "not understood", statusNotNow: "not now",
}

// execute dispatches. Its error is for trouble that leaves no answer to give:
// the phone stopped, its disk failed.
func (p *Phone) execute(ctx context.Context, c command) (outcome, error) {
	o := outcome{name: c.name, status: statusAcknowledged}
	if c.args.err != nil {
		return o.malformed(c.args.err), nil
	}
	right, known := commandRights[c.name]
	if !known {
		return o.refused(nil, refuse(ErrInvalid, domainMDM, codeMDMUnknownRequest, "The request type %q is not known.", c.name)), nil
	}
	if p.s.Enrolment.Rights&right != right {
		return o.refused(nil, refuse(ErrInvalid, domainMDM, codeMDMNotAuthorized, "The access rights do not allow %s.", c.name)), nil
	}
	if p.s.Facts.Locked && slices.Contains(needUnlocked, c.name) {
		o.status = statusNotNow
		return o, nil
	}
	var err error
	switch c.name {
	case "DeviceInformation":
		err = p.deviceInformation(c, &o)
	case "SecurityInfo":
		p.securityInfo(&o)
	case "ProfileList":
		err = p.profileList(c, &o)
	case "CertificateList":
		err = p.certificateList(c, &o)
	case "InstallProfile":
		err = p.installProfile(ctx, c, &o)
	case "RemoveProfile":
		err = p.removeProfile(c, &o)
	}
	var field *fieldError
	var no *refusal
	switch {
	case err == nil:
		return o, nil
	case ctx.Err() != nil:
		return o, ctx.Err()
	case errors.As(err, &no):
		return o.refused(outer[c.name], no), nil
	case errors.As(err, &field):
		return o.malformed(err), nil
	}
	return o, err
}

// commandRights are the commands that this phone knows, and the access right
// that each one needs.
var commandRights = map[string]int{
	"DeviceInformation": rightDeviceInfo,
	"SecurityInfo":      rightSecurity,
	"ProfileList":       rightInspectProfiles,
	"CertificateList":   rightInspectProfiles,
	"InstallProfile":    rightInstallProfiles,
	"RemoveProfile":     rightInstallProfiles,
}

// needUnlocked are the commands that a locked iPhone puts off. Apple promises
// that DeviceInformation and ProfileList are never put off.
var needUnlocked = []string{"InstallProfile", "RemoveProfile"}

// outer are the first links of an ErrorChain: what failed, before why.
var outer = map[string]*refusal{
	"InstallProfile": refuse(ErrProfile, domainInstallation, codeInstallationFailed, "Profile Installation Failed"),
}

func (o outcome) refused(first, cause *refusal) outcome {
	o.status, o.keys = statusError, nil
	o.chain = errorChain(first, cause)
	o.told = cause.Error()
	return o
}

func (o outcome) malformed(err error) outcome {
	cause := refuse(ErrInvalid, domainMDM, codeMDMMalformed, "The command is malformed.").because(err)
	o = o.refused(nil, cause)
	o.status = statusFormatError
	return o
}
