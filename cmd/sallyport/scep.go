package main

import (
	"fmt"
	"net/url"
	"time"

	"sallyport/certs"
	"sallyport/internal/server/adminapi"
)

type scepCmd struct {
	Challenge scepChallengeCmd `cmd:"" help:"Make a one-time challenge for a device that you enrol by hand."`
}

type scepChallengeCmd struct {
	User string `required:"" help:"In whose name the certificate will be." placeholder:"UPN"`
	Rule string `enum:"mail-identity,smime-signing" default:"mail-identity" help:"What it is for: mail-identity (client authentication) or smime-signing."`
	TTL  span   `name:"ttl" help:"How long it holds: 24h or 7d, which is the most." default:"24h"`
	Output
}

// Help is the detail under the usage line.
func (*scepChallengeCmd) Help() string {
	return `For gateways, laptops and whatever no profile of ours reaches. The challenge is a secret and good for one certificate, in the user's name whatever the device asks for. Compare the fingerprint of the CA that the device shows with the one printed here. docs/scep.md has commands for several clients.`
}

func (c *scepChallengeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var made adminapi.Challenge
	in := adminapi.ChallengeRequest{UPN: c.User, Rule: c.Rule, TTL: time.Duration(c.TTL).String()}
	if err := api.post(p.ctx, "/api/v1/scep/challenges", in, &made); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, made)
	}
	if err := facts(p.stdout, fact{"url", made.URL}, fact{"challenge", made.Challenge}, fact{"expires", stamp(made.Expires)},
		fact{"certificate", made.Rule + " of " + made.UPN}, fact{"root sha256", made.CAFingerprint},
		fact{"ra sha256", made.RAFingerprint}); err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, "It is shown only now, and good for one certificate. See docs/scep.md.")
	p.tellReplaced(api, made)
	return nil
}

// tellReplaced names what the user has by hand already: whatever takes its place,
// it stays valid, and nobody but an admin knows that a device has done with it.
// The challenge is told: what fails here is no failure of it.
func (p *program) tellReplaced(api *client, made adminapi.Challenge) {
	if made.Rule != string(certs.RuleMailIdentity) { // an S/MIME key that we keep for the user looks the same
		return
	}
	all, err := p.certificates(api, url.Values{"user": {made.UPN}, "rule": {made.Rule}})
	if err != nil {
		fmt.Fprintf(p.stderr, "What this user has by hand already is unknown: %v\n", err)
		return
	}
	for _, x := range all {
		if x.State == "valid" && x.EnrollmentID == "" {
			fmt.Fprintf(p.stderr, "Enrolled by hand before, and valid until %s. Should the new one replace it, revoke it then: sallyport ca revoke --reason superseded %s\n", stamp(x.NotAfter), short(x.SHA256))
		}
	}
}
