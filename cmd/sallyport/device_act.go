package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

// Act is what every act upon a phone takes.
type Act struct {
	ID     string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	DryRun bool   `help:"Say what would happen, or why it cannot be done, and do nothing."`
	Output
}

// Confirm is what an act takes that cannot be undone.
type Confirm struct {
	Confirm string `help:"The phone's name, typed out. Without it you are asked on a terminal, and nowhere else." placeholder:"NAME"`
}

type deviceLockCmd struct {
	Act
	Message     string `help:"Shown on the lock screen, where a passcode is set." placeholder:"TEXT"`
	PhoneNumber string `help:"To be called from the lock screen." placeholder:"NUMBER"`
}

func (c *deviceLockCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionLock), Message: c.Message, PhoneNumber: c.PhoneNumber})
}

type deviceRenameCmd struct {
	Act
	Name string `arg:"" help:"The phone's new name."`
}

func (c *deviceRenameCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionRename), Name: c.Name})
}

type deviceResendCmd struct{ Act }

func (c *deviceResendCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionResend)})
}

type deviceQueryCmd struct {
	Act
	Query string `arg:"" enum:"DeviceInformation,SecurityInfo,ProfileList,CertificateList,InstalledApplicationList,ManagedApplicationList,Restrictions" help:"What to ask, as Apple names it: DeviceInformation, SecurityInfo, ProfileList, CertificateList, InstalledApplicationList, ManagedApplicationList or Restrictions."`
}

func (c *deviceQueryCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionQuery), Query: c.Query})
}

type deviceClearPasscodeCmd struct{ Act }

func (c *deviceClearPasscodeCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionClearPasscode)})
}

type deviceRemovePoliciesCmd struct{ Act }

func (c *deviceRemovePoliciesCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionRemovePolicies)})
}

type deviceSelectiveWipeCmd struct {
	Act
	Confirm
}

func (c *deviceSelectiveWipeCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionSelectiveWipe), Confirm: c.Confirm.Confirm})
}

type deviceRetireCmd struct {
	Act
	Confirm
	Force bool `help:"End the enrolment now, whether the phone comes or not. What it holds stays on it."`
}

func (c *deviceRetireCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionRetire), Confirm: c.Confirm.Confirm, Force: c.Force})
}

type deviceWipeCmd struct {
	Act
	Confirm
}

func (c *deviceWipeCmd) Run(p *program) error {
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionWipe), Confirm: c.Confirm.Confirm})
}

type deviceCommandCmd struct {
	Act
	File string `arg:"" help:"File with the Command dictionary as an XML property list, - for standard input. For an Android phone JSON: {\"type\": \"REBOOT\"}, START_LOST_MODE with a message, or STOP_LOST_MODE."`
}

func (c *deviceCommandCmd) Run(p *program) error {
	raw, err := p.readInput(c.File)
	if err != nil {
		return fmt.Errorf("read command: %w", err)
	}
	return c.order(p, adminapi.ActionRequest{Kind: string(mdm.ActionCommand), Raw: string(raw)})
}

// order sends an act, or says what it would do. What cannot be undone is first
// planned and then confirmed.
func (a *Act) order(p *program, in adminapi.ActionRequest) error {
	api, device, err := p.onDevice(a.ID)
	if err != nil {
		return err
	}
	path := devicePath(device.ID) + "/actions"
	plan := func() (adminapi.ActionPlan, error) {
		asked := in
		asked.DryRun = true
		var out adminapi.ActionOrdered
		err := api.post(p.ctx, path, asked, &out)
		return out.Plan, err
	}
	if a.DryRun {
		planned, err := plan()
		if err != nil {
			return err
		}
		return a.printPlan(p, device, in, planned)
	}
	if irrevocable(mdm.ActionKind(in.Kind)) && in.Confirm == "" {
		planned, err := plan()
		if err != nil {
			return err
		}
		if in.Confirm, err = a.ask(p, device, in, planned); err != nil {
			return err
		}
	}
	var out adminapi.ActionOrdered
	if err := api.post(p.ctx, path, in, &out); err != nil {
		return typedError(err)
	}
	if a.json() {
		return printJSON(p.stdout, out)
	}
	printOrdered(p, device, in, out)
	return nil
}

// irrevocable acts are those whose commands have the flag --confirm. The server
// decides for itself which it asks.
func irrevocable(k mdm.ActionKind) bool {
	return k == mdm.ActionWipe || k == mdm.ActionSelectiveWipe || k == mdm.ActionRetire
}

// ask has the name typed on a terminal; a script has to give it with --confirm.
func (a *Act) ask(p *program, device accessapi.DeviceDetail, in adminapi.ActionRequest, plan adminapi.ActionPlan) (string, error) {
	if err := refusedPlan(plan); err != nil || !plan.NeedsConfirm {
		return "", err
	}
	if a.json() || !isTerminal(p.stdin) {
		return "", usageError{fmt.Sprintf("%s cannot be undone: repeat the phone's name with --confirm %q", actName(in.Kind), cell(plan.Device))}
	}
	writePlan(p.stderr, device, in, plan)
	return plan.Device, p.typeOut("the phone's name", plan.Device)
}

// typeOut has a name typed on the terminal by whoever goes on.
func (p *program) typeOut(what, name string) error {
	fmt.Fprintf(p.stderr, "Type %s to go on (%s): ", what, cell(name))
	line, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("nothing was typed, and nothing was done: %w", err)
	}
	if strings.TrimSpace(line) != name {
		return fmt.Errorf("that is not %s: nothing was done", what)
	}
	return nil
}

func refusedPlan(plan adminapi.ActionPlan) error {
	return typedError(refusal.List(plan.Refused).OrNil())
}

func (a *Act) printPlan(p *program, device accessapi.DeviceDetail, in adminapi.ActionRequest, plan adminapi.ActionPlan) error {
	if a.json() {
		if err := printJSON(p.stdout, plan); err != nil {
			return err
		}
	} else {
		writePlan(p.stdout, device, in, plan)
		fmt.Fprintln(p.stdout, "Dry run: nothing was done.")
	}
	if len(plan.Refused) > 0 {
		return errQuiet
	}
	return nil
}

func writePlan(w io.Writer, device accessapi.DeviceDetail, in adminapi.ActionRequest, plan adminapi.ActionPlan) {
	fmt.Fprintf(w, "%s of %s (%s, %s, %s)\n", actName(in.Kind), cell(plan.Device), cell(device.User), device.Enrollment.Ownership, device.ID)
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(w, title)
		for _, line := range lines {
			fmt.Fprintf(w, "  %s\n", cell(typed(line)))
		}
	}
	var refused, commands []string
	for _, r := range plan.Refused {
		refused = append(refused, r.Error())
	}
	for _, c := range plan.Commands {
		commands = append(commands, strings.TrimSpace(c.RequestType+" "+c.Subject))
	}
	section("Refused", refused)
	if len(refused) > 0 {
		return
	}
	section("What happens", plan.Effects)
	section("What the phone loses", plan.Loses)
	section("What the phone is told, as far as it is known now", commands)
	var needs []string
	if plan.NeedsConfirm {
		needs = append(needs, fmt.Sprintf("the phone's name, typed out: --confirm %q", plan.Device))
	}
	if plan.NeedsApproval {
		needs = append(needs, "the consent of an admin whose token has another owner: sallyport device approve")
	}
	section("What it needs", needs)
}

func printOrdered(p *program, device accessapi.DeviceDetail, in adminapi.ActionRequest, out adminapi.ActionOrdered) {
	name := cell(out.Plan.Device)
	if in.Kind == string(mdm.ActionRename) {
		fmt.Fprintf(p.stdout, "%s is now called %s\n", name, cell(in.Name))
	}
	act := out.Action
	if act == nil {
		for _, effect := range out.Plan.Effects {
			fmt.Fprintln(p.stderr, cell(effect))
		}
		return
	}
	fmt.Fprintf(p.stdout, "%s of %s is %s: act %s\n", actName(act.Kind), name, act.State, act.ID)
	switch mdm.ActionState(act.State) {
	case mdm.ActionUnapproved:
		fmt.Fprintf(p.stderr, "It waits for an admin whose token has another owner: sallyport device approve %s %s\n", device.ID, act.ID)
	case mdm.ActionPending:
		when := "when it comes next"
		if device.Enrollment.PollOnly {
			when = "when it comes next (push cannot wake it)"
		}
		fmt.Fprintf(p.stderr, "The phone takes it %s, until %s. Until then: sallyport device cancel %s %s\n", when, stamp(act.ExpiresAt), device.ID, act.ID)
	case mdm.ActionAcknowledged:
		fmt.Fprintln(p.stderr, "The enrolment has ended and its certificates are revoked. The phone was told nothing.")
	}
}

// actName is a kind of act as the command line spells it.
func actName(kind string) string { return strings.ReplaceAll(kind, "_", "-") }

// typed spells the acts that a text advises as this command line does.
func typed(text string) string {
	for _, kind := range mdm.ActionKinds() {
		text = strings.ReplaceAll(text, string(kind), actName(string(kind)))
	}
	return text
}

// typedError does so in what the server refuses.
func typedError(err error) error {
	var list refusal.List
	for _, r := range refusal.All(err) {
		spelled := *r
		spelled.Reason, spelled.Remedy = typed(r.Reason), typed(r.Remedy)
		list = append(list, &spelled)
	}
	if len(list) == 0 {
		return err
	}
	return list
}

func actPath(device, act string) string {
	return devicePath(device) + "/actions/" + url.PathEscape(act)
}
