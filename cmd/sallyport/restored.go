package main

import (
	"fmt"

	"sallyport/enroll"
	"sallyport/internal/auth"
	"sallyport/internal/store"
)

// namedInvitations is how many people a restore names: everybody may have been invited.
const namedInvitations = 20

// printRestoration says what became of the backup's invitations and tokens, and
// what to do about each once a server runs on dir.
func printRestoration(p *program, dir string, told store.Restoration) error {
	if err := printRevoked(p, dir, told.Invitations); err != nil {
		return err
	}
	if n := len(told.EndedTokens); n > 0 {
		fmt.Fprintf(p.stdout, "tokens revoked: %d, as one that was revoked since the backup would be valid again\n", n)
		if err := printTokens(p, told.EndedTokens); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "Make a new one for each who still needs it: sallyport token create --role ROLE --owner NAME --data %s\n", dir)
	}
	if n := len(told.LiveTokens); n > 0 {
		fmt.Fprintf(p.stdout, "tokens of engines that are valid: %d, so that gates go on; one that was revoked since the backup is valid again\n", n)
		if err := printTokens(p, told.LiveTokens); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "Revoke at once what was revoked before, and what you do not know: sallyport token revoke ID --data %s\n", dir)
	}
	return nil
}

func printRevoked(p *program, dir string, all []enroll.Invitation) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintf(p.stdout, "open invitations revoked: %d, as each may have been used or withdrawn since the backup\n", len(all))
	named := all[:min(len(all), namedInvitations)]
	err := list(p, Output{}, named, "USER OWNERSHIP PIN EXPIRES", func(i enroll.Invitation) []string {
		return []string{i.UPN, string(i.Ownership), yes(len(i.PINHash) > 0), stamp(i.ExpiresAt)}
	})
	if err != nil {
		return err
	}
	if more := len(all) - len(named); more > 0 {
		fmt.Fprintf(p.stdout, "and %d more: sallyport invitation list --data %s\n", more, dir)
	}
	fmt.Fprintf(p.stderr, "Invite anew who is still to enrol, and whose phone enrolled since the backup: sallyport invite --user UPN --data %s\n", dir)
	return nil
}

func printTokens(p *program, tokens []auth.Token) error {
	return list(p, Output{}, tokens, "ID ROLE OWNER CREATED", func(t auth.Token) []string {
		return []string{t.ID, string(t.Role), t.Owner, stamp(t.CreatedAt)}
	})
}
