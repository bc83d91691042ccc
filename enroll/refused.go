package enroll

import (
	"fmt"
	"strings"

	"sallyport/mdm"
)

// An iPhone refuses a mail account that it has already, however it came there
// (observed on iOS; Apple documents neither the domain nor its codes).
const (
	easErrorDomain   = "MCEASErrorDomain"
	easAccountExists = 21005
)

// explanation is why a profile was not installed, and what its user should do;
// fix is empty where we know no better than the general advice.
type explanation struct {
	reason string
	fix    string
}

// explain puts a failed installation into words.
func explain(c mdm.Command) explanation {
	if c.State != mdm.Failed || !accountExists(c) {
		return explanation{reason: c.Error}
	}
	return explanation{
		reason: fmt.Sprintf("this mail account is on the phone already, set up by hand or by another profile (%s %d)", easErrorDomain, easAccountExists),
		fix: "If you set up this mailbox on the phone by hand, remove that account (Settings > Apps > Mail > Mail Accounts; " +
			"before iOS 18: Settings > Mail > Accounts): the managed one is then installed by itself, within hours, or at once when your administrator sends it again.",
	}
}

// accountExists looks through the whole chain, and at the text where a record
// has no chain.
func accountExists(c mdm.Command) bool {
	for _, item := range c.Chain {
		if item.Domain == easErrorDomain && item.Code == easAccountExists {
			return true
		}
	}
	return strings.Contains(c.Error, fmt.Sprintf("%s %d", easErrorDomain, easAccountExists))
}

// accountsLocked warns where a restriction forbids to change accounts: then Mail
// asks for the password once, when the account is made, and never again. Empty
// where nothing of the kind was reported.
func accountsLocked(r mdm.Report) string {
	if r.Restrictions == nil || r.Restrictions.AccountModification == nil || *r.Restrictions.AccountModification {
		return ""
	}
	return "Accounts cannot be changed on this phone (a restriction): Mail asks for the password once, when the account is installed. Who mistypes it needs the mail profile sent again: resend."
}
