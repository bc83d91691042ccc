package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

const accessRulesPath = "/api/v1/access/rules"

// Reasoned are the flags of an act that stands in the trail with its reason.
type Reasoned struct {
	Reason string `required:"" help:"Why: it stands in the audit trail." placeholder:"TEXT"`
}

// Rehearsed are those of an act that can be rehearsed.
type Rehearsed struct {
	DryRun bool `help:"Say whom it would touch, and do nothing."`
}

// query asks the API for a rehearsal.
func (r Rehearsed) query(path string) string {
	if r.DryRun {
		return path + "?dry_run=true"
	}
	return path
}

func (p *program) nothingDone() { fmt.Fprintln(p.stdout, "Dry run: nothing was done.") }

type accessDefaultCmd struct {
	Default string `arg:"" optional:"" enum:",allow,quarantine,block" default:"" help:"allow, quarantine or block; none: show what it is."`
	Reason  string `help:"Why: it stands in the audit trail." placeholder:"TEXT"`
	Rehearsed
	Output
}

func (c *accessDefaultCmd) Run(p *program) error {
	return p.theDefault(adminapi.AccessDefaultInput{Default: c.Default, Reason: c.Reason}, c.Rehearsed, c.Output)
}

type accessStrategyCmd struct {
	Strategy string `arg:"" optional:"" enum:",allow-list,block-list,mixed" default:"" help:"allow-list: only what a rule, a policy or an admin allows. block-list: all but what is blocked. mixed: what is new waits for an admin. None: show what it is."`
	Reason   string `help:"Why: it stands in the audit trail." placeholder:"TEXT"`
	Rehearsed
	Output
}

func (c *accessStrategyCmd) Run(p *program) error {
	return p.theDefault(adminapi.AccessDefaultInput{Strategy: c.Strategy, Reason: c.Reason}, c.Rehearsed, c.Output)
}

func (p *program) showDefault(o Output) error {
	rules, err := p.accessRules()
	if err != nil {
		return err
	}
	d := adminapi.AccessDefault{Default: rules.Default, Strategy: rules.Strategy, Hints: rules.Hints}
	if o.json() {
		return printJSON(p.stdout, d)
	}
	p.printDefault(d)
	return nil
}

func (p *program) printDefault(d adminapi.AccessDefault) {
	fmt.Fprintf(p.stdout, "default: %s (%s)\n", d.Default, d.Strategy)
	p.warn(d.Hints)
}

// theDefault sets it, or shows it where nothing is to be set.
func (p *program) theDefault(in adminapi.AccessDefaultInput, r Rehearsed, o Output) error {
	if in.Default == "" && in.Strategy == "" {
		return p.showDefault(o)
	}
	if in.Reason == "" && !r.DryRun {
		return usageError{"say why with --reason TEXT"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	var d adminapi.AccessDefault
	if err := api.putJSON(p.ctx, r.query("/api/v1/access/default"), in, &d); err != nil {
		return err
	}
	if o.json() {
		return printJSON(p.stdout, d)
	}
	p.printDefault(d)
	if d.Impact == nil {
		return nil
	}
	if err := p.impact(*d.Impact); err != nil {
		return err
	}
	p.nothingDone()
	return nil
}

type accessRuleCmd struct {
	Add    accessRuleAddCmd    `cmd:"" help:"Add a rule for all mail clients of a kind."`
	List   accessRuleListCmd   `cmd:"" help:"List the rules and the default."`
	Remove accessRuleRemoveCmd `cmd:"" help:"Take a rule back."`
}

type accessRuleAddCmd struct {
	Effect     string `arg:"" enum:"allow,quarantine,block" help:"allow, quarantine or block."`
	Family     string `help:"DeviceType, for example iPhone. This and the next texts may end in * for any more." placeholder:"TEXT"`
	Model      string `help:"Model, as the phone or its mail client told." placeholder:"TEXT"`
	OS         string `name:"os" help:"System, for example 'iOS 16*'." placeholder:"TEXT"`
	UserAgent  string `help:"The client's User-Agent." placeholder:"TEXT"`
	Protocol   string `help:"ActiveSync version: 12.1, or <16.1 for all below." placeholder:"VERSION"`
	Group      string `help:"Group of the user." placeholder:"GROUP"`
	Ownership  string `help:"corporate or personal, of an enrolled phone." placeholder:"OWNERSHIP"`
	Network    string `help:"Network of the client, for example 192.0.2.0/24." placeholder:"CIDR"`
	Like       string `help:"All mail clients like this one, instead of criteria." placeholder:"ID"`
	By         string `help:"family or model, beside --like." enum:",family,model" default:""`
	SetDefault string `help:"Set the default along with it: allow, quarantine or block." enum:",allow,quarantine,block" default:""`
	Reasoned
	Rehearsed
	Output
}

// Help is the detail under the usage line.
func (*accessRuleAddCmd) Help() string {
	return `All criteria that are given must hold. Block outweighs quarantine, and that outweighs allow, whatever the order of the rules. A rule that allows means something only where the default does not allow: --set-default quarantine does both at once, and --dry-run says first whom that shuts out.`
}

func (c *accessRuleAddCmd) Run(p *program) error {
	if (c.Like == "") != (c.By == "") {
		return usageError{"--like ID and --by family or model go together"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.AccessRuleInput{Effect: c.Effect, Family: c.Family, Model: c.Model, OS: c.OS, UserAgent: c.UserAgent, Protocol: c.Protocol,
		Group: c.Group, Ownership: c.Ownership, Network: c.Network, DeviceID: c.Like, By: c.By, Default: c.SetDefault, Reason: c.Reason}
	var out adminapi.AccessRuleAnswer
	if err := api.post(p.ctx, c.query(accessRulesPath), in, &out); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, out)
	}
	kind := cell(string(out.Rule.Effect) + " " + out.Rule.Criteria())
	if out.Impact == nil {
		fmt.Fprintf(p.stdout, "rule %s: %s\n", cell(string(out.Rule.ID)), kind)
	} else {
		fmt.Fprintf(p.stdout, "rule: %s\n%d of the mail clients on record are of this kind\n", kind, out.Impact.Matched)
		if err := p.impact(*out.Impact); err != nil {
			return err
		}
		p.nothingDone()
	}
	p.warn(out.Warnings)
	if out.Offer != "" {
		fmt.Fprintf(p.stderr, "the default allows everything, so this rule means nothing yet; whom another one shuts out: sallyport access default %s --dry-run\n", out.Offer)
	}
	return nil
}

type accessRuleListCmd struct{ Output }

func (c *accessRuleListCmd) Run(p *program) error {
	rules, err := p.accessRules()
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, rules)
	}
	p.printDefault(adminapi.AccessDefault{Default: rules.Default, Strategy: rules.Strategy, Hints: rules.Hints})
	const header = "ID EFFECT SINCE RULE"
	return list(p, c.Output, rules.Rules, header, fitted(header, rules.Rules, func(r access.Rule) []string {
		return []string{string(r.ID), string(r.Effect), stamp(r.At), r.Criteria() + " (" + r.By + ": " + r.Reason + ")"}
	}, terminalWidth(p.stdout), 3))
}

func (p *program) accessRules() (adminapi.AccessRuleList, error) {
	var rules adminapi.AccessRuleList
	api, err := p.client()
	if err != nil {
		return rules, err
	}
	err = api.get(p.ctx, accessRulesPath, nil, &rules)
	return rules, err
}

type accessRuleRemoveCmd struct {
	ID string `arg:"" name:"id" help:"ID of the rule: see access rule list."`
	Reasoned
	Rehearsed
	Output
}

func (c *accessRuleRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	path := accessRulesPath + "/" + url.PathEscape(c.ID)
	if c.DryRun {
		var found access.Impact
		if err := api.call(p.ctx, http.MethodDelete, c.query(path), "", nil, &found); err != nil {
			return err
		}
		if c.json() {
			return printJSON(p.stdout, found)
		}
		if err := p.impact(found); err != nil {
			return err
		}
		p.nothingDone()
		return nil
	}
	if err := api.call(p.ctx, http.MethodDelete, because(path, c.Reason), "", nil, nil); err != nil {
		return err
	}
	return done{"access.rule_remove", c.ID}.print(p, c.Output, "rule %s is removed\n", cell(c.ID))
}

// because is the path of an act that is told why in its query.
func because(path, reason string) string {
	return path + "?" + url.Values{"reason": {reason}}.Encode()
}

// impact prints what a change would do.
func (p *program) impact(i access.Impact) error {
	fmt.Fprintf(p.stdout, "of %d mail clients it shuts out %d and lets in %d\n", i.Devices, i.ShutOut, i.LetIn)
	return p.shifts(Output{}, i.Sample)
}

// shifts prints how mail clients are answered, before and after.
func (p *program) shifts(o Output, all []access.Shift) error {
	if len(all) == 0 && !o.json() {
		return nil
	}
	const header = "ID USER BEFORE AFTER WHY"
	return list(p, o, all, header, fitted(header, all, func(x access.Shift) []string {
		return []string{string(x.DeviceID), x.User, string(x.Before), string(x.After), cmp.Or(x.DeviceType, x.EASDevice) + ": " + why(x.Reasons)}
	}, terminalWidth(p.stdout), 4))
}

// why is the reasons' facts in one line.
func why(reasons []access.Reason) string {
	facts := make([]string, len(reasons))
	for i, r := range reasons {
		facts[i] = r.Fact
	}
	return strings.Join(facts, "; ")
}
