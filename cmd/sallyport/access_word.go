package main

import (
	"fmt"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

const accessWordsPath = "/api/v1/access/words"

// Waiters are mail clients on record.
type Waiters struct {
	ID []string `arg:"" name:"id" help:"IDs of mail clients: see access device list --decision quarantine."`
	Reasoned
	Rehearsed
	Output
}

type accessApproveCmd struct{ Waiters }

func (c *accessApproveCmd) Run(p *program) error { return c.say(p, "approve") }

type accessDenyCmd struct{ Waiters }

func (c *accessDenyCmd) Run(p *program) error { return c.say(p, "deny") }

func (w Waiters) say(p *program, verb string) error {
	in := adminapi.AccessVerdictInput{Devices: w.ID, Reason: w.Reason}
	return p.say(accessDevicesPath+"/"+verb, in, w.Rehearsed, w.Output)
}

// Meant are mail clients on record, or those of a user.
type Meant struct {
	ID       []string `arg:"" optional:"" name:"id" help:"IDs of mail clients: see access device list."`
	User     string   `help:"Instead: of this user, every mail client, or the one with --device-id." placeholder:"UPN"`
	DeviceID string   `name:"device-id" help:"ActiveSync DeviceId of the user's, come already or not." placeholder:"ID"`
	Reasoned
	Rehearsed
	Output
}

// word is what the flags say so far.
func (m Meant) word(kind access.PersonalKind) (adminapi.AccessWord, error) {
	if (len(m.ID) == 0) == (m.User == "") || m.User == "" && m.DeviceID != "" {
		return adminapi.AccessWord{}, usageError{"name mail clients by their ID, or a user with --user UPN, whose one is meant with --device-id"}
	}
	return adminapi.AccessWord{Kind: string(kind), Devices: m.ID, User: m.User, EASDevice: m.DeviceID, Reason: m.Reason}, nil
}

// Lasting is a word with a flag for its end.
type Lasting struct {
	Meant
	For span `help:"End by itself after this time, for example 24h or 7d." placeholder:"TIME"`
}

func (l Lasting) say(p *program, kind access.PersonalKind) error {
	in, err := l.word(kind)
	if err != nil {
		return err
	}
	if l.For > 0 {
		in.ExpiresAt = p.now().Add(time.Duration(l.For)).UTC().Truncate(time.Second)
	}
	return p.say(accessWordsPath, in, l.Rehearsed, l.Output)
}

type accessAllowCmd struct{ Lasting }

// Help is the detail under the usage line.
func (*accessAllowCmd) Help() string {
	return `An allow outweighs rules and the default. It does not outlive a policy whose conditions failed: exempt the mail client for a while from that.`
}

func (c *accessAllowCmd) Run(p *program) error { return c.say(p, access.PersonalAllow) }

type accessBlockCmd struct{ Lasting }

func (c *accessBlockCmd) Run(p *program) error { return c.say(p, access.PersonalBlock) }

type accessExemptCmd struct {
	Meant
	For span `required:"" help:"How long, at most 90d." placeholder:"TIME"`
}

// Help is the detail under the usage line.
func (*accessExemptCmd) Help() string {
	return `An exemption only takes away the block by failed conditions: whether the mail client is let in, rules and the default say, or an allow beside it.`
}

func (c *accessExemptCmd) Run(p *program) error {
	return Lasting{Meant: c.Meant, For: c.For}.say(p, access.PersonalExempt)
}

// say posts what is said of mail clients, and prints how they are answered.
func (p *program) say(path string, in any, r Rehearsed, o Output) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var out adminapi.AccessShifts
	if err := api.post(p.ctx, r.query(path), in, &out); err != nil {
		return err
	}
	if o.json() {
		return printJSON(p.stdout, out.Devices)
	}
	if len(out.Devices) == 0 {
		fmt.Fprintln(p.stdout, "no mail client on record is meant yet")
	}
	if err := p.shifts(o, out.Devices); err != nil {
		return err
	}
	if r.DryRun {
		p.nothingDone()
	}
	return nil
}

type accessUnallowCmd struct{ Meant }

func (c *accessUnallowCmd) Run(p *program) error { return c.takeBack(p, access.PersonalAllow) }

type accessUnblockCmd struct{ Meant }

func (c *accessUnblockCmd) Run(p *program) error { return c.takeBack(p, access.PersonalBlock) }

type accessUnexemptCmd struct{ Meant }

func (c *accessUnexemptCmd) Run(p *program) error { return c.takeBack(p, access.PersonalExempt) }

func (m Meant) takeBack(p *program, kind access.PersonalKind) error {
	in, err := m.word(kind)
	if err != nil {
		return err
	}
	const path = accessWordsPath + "/take-back"
	if m.DryRun {
		return p.say(path, in, m.Rehearsed, m.Output)
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.post(p.ctx, path, in, nil); err != nil {
		return err
	}
	if m.json() {
		return printJSON(p.stdout, in)
	}
	fmt.Fprintf(p.stdout, "%s taken back\n", kind)
	return nil
}
