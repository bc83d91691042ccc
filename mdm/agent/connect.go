package agent

import (
	"context"
	"errors"
	"fmt"
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
// the server has nothing more. An enrolment that was interrupted is finished
// first, and a push token that changed is told first.
func (p *Phone) Connect(ctx context.Context) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	if p.s.Stage == StageNone {
		return ErrNotEnrolled
	}
	if p.s.Android != nil {
		return p.connectAndroid(ctx)
	}
	if err := p.finish(ctx); err != nil {
		return err
	}
	if p.s.TokenDue {
		if err := p.tokenUpdate(ctx); err != nil {
			return err
		}
	}
	return p.poll(ctx)
}

func (p *Phone) poll(ctx context.Context) error {
	postponed, what := 0, "result"
	for range maxCommands {
		message := p.s.Answer
		if message == nil {
			var err error
			if message, err = encodePlist(map[string]any{"Status": statusIdle, "UDID": p.s.Facts.UDID}); err != nil {
				return fmt.Errorf("poll: %w", err)
			}
			what = "poll"
		}
		ending := p.s.Ending
		body, err := p.report(ctx, request{what: what, url: p.s.Enrolment.ServerURL, body: message})
		switch {
		case ending != "" && (err == nil || errors.Is(err, ErrDismissed)):
			return p.end(ctx, ending)
		case err != nil:
			return err
		case len(body) == 0 && len(p.s.Held) == 0:
			return p.rest(postponed)
		case len(body) == 0: // what a script kept back, the last one first
			last := len(p.s.Held) - 1
			p.s.Answer, p.s.Held, what = p.s.Held[last], p.s.Held[:last], "late result"
			continue
		}
		done, err := p.obey(ctx, body)
		if err != nil {
			return err
		}
		if done.status == statusNotNow {
			postponed++
		}
		what = "result of " + done.name
		if stop, err := p.mislay(ctx, what); stop || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the server sent more than %d commands in one connection", ErrProtocol, maxCommands)
}

// end carries out what a command started, now that its result is delivered.
func (p *Phone) end(ctx context.Context, ending string) error {
	if ending == endErased {
		return p.erase()
	}
	return p.unenroll(ctx)
}

// rest ends a round: the server has everything.
func (p *Phone) rest(postponed int) error {
	p.s.Answer = nil
	if err := p.save(); err != nil {
		return err
	}
	p.o.tally.polled()
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
	if o.status != statusNotNow {
		p.s.Ledger.add(c.id, c.name, o.status, p.o.tally.limit())
	}
	if p.s.Answer, err = encodePlist(result); err != nil {
		return o, fmt.Errorf("result of %s: %w", c.name, err)
	}
	if err := p.save(); err != nil {
		return o, err
	}
	p.o.tally.obeyed(o)
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

// execute decides whether a command is carried out now. Its error is for trouble
// that leaves no answer to give: the phone stopped, its disk failed.
func (p *Phone) execute(ctx context.Context, c command) (outcome, error) {
	o := outcome{name: c.name, status: statusAcknowledged}
	if c.args.err != nil {
		return o.malformed(c.args.err), nil
	}
	known, ok := commands[c.name]
	if !ok {
		// Error, not CommandFormatError: so an iPhone answers (github.com/micromdm/micromdm/issues/970).
		return o.refused(nil, refuse(ErrInvalid, domainMDM, codeMDMUnknownRequest, "\u201c%s\u201d is not a valid request type.", c.name)), nil
	}
	if p.s.Enrolment.Rights&known.right != known.right {
		return o.refused(nil, refuse(ErrInvalid, domainMDM, codeMDMNotAuthorized, "The access rights do not allow %s.", c.name)), nil
	}
	if !known.always && (p.s.Facts.Locked || p.s.Script.defers(c.name)) {
		o.status = statusNotNow
		return o, nil
	}
	if scripted, ok := p.s.Script.refuses(c.name); ok {
		return o.scripted(scripted), nil
	}
	err := known.run(p, ctx, c, &o)
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

// ability is a command that this phone knows.
type ability struct {
	right  int  // in AccessRights
	always bool // never put off
	run    func(*Phone, context.Context, command, *outcome) error
}

// commands are those that this phone knows. Apple promises that an iPhone never
// puts off the ones marked always; of all others a locked phone says NotNow here,
// which is the most that a server must bear
// (https://developer.apple.com/documentation/devicemanagement/handling-notnow-status-responses).
var commands = map[string]ability{
	"DeviceInformation":        {0, true, offline((*Phone).deviceInformation)}, // each query has its own right
	"ProfileList":              {rightInspectProfiles, true, offline((*Phone).profileList)},
	"DeviceLock":               {rightLock, true, offline((*Phone).deviceLock)},
	"EraseDevice":              {rightErase, true, offline((*Phone).eraseDevice)},
	"ClearPasscode":            {rightLock, true, offline((*Phone).clearPasscode)},
	"InstalledApplicationList": {rightApps, true, offline((*Phone).installedApplications)},
	"Restrictions":             {rightRestrictions, true, offline((*Phone).restrictions)},
	"SecurityInfo":             {rightSecurity, false, offline((*Phone).securityInfo)},
	"CertificateList":          {rightInspectProfiles, false, offline((*Phone).certificateList)},
	"ManagedApplicationList":   {rightManageApps, false, offline((*Phone).managedApplications)},
	"Settings":                 {rightSettings, false, offline((*Phone).settings)},
	"DeviceConfigured":         {0, false, offline((*Phone).deviceConfigured)},
	"InstallProfile":           {rightInstallProfiles, false, (*Phone).installProfile},
	"RemoveProfile":            {rightInstallProfiles, false, offline((*Phone).removeProfile)},
}

// offline is a command that needs no server while it runs.
func offline(run func(*Phone, command, *outcome) error) func(*Phone, context.Context, command, *outcome) error {
	return func(p *Phone, _ context.Context, c command, o *outcome) error { return run(p, c, o) }
}

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
