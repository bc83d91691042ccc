package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles/managedconfig"
)

// Lost is a template that is assigned to a user and does not reach them, because
// another one sets up the same mailbox, or the only account of the same app.
type Lost struct {
	Revision Revision
	Winner   string            // name of the template that does
	Priority int               // of the winner; no lower than that of Revision
	Mailbox  string            // "alice@example.test on mail.example.test"; empty where App is what it lost
	App      managedconfig.App // on Android; empty where Mailbox is what it lost
}

// Refusal tells who keeps the templates why this one is left out, and what to do.
// It wraps ErrRender.
func (l Lost) Refusal() *refusal.Error {
	ours := l.Revision.Spec.Priority
	tie := l.Priority == ours
	remedy := "give this one a higher priority, or assign only one of both to the user"
	if l.App != "" {
		remedy = "give this one a higher priority or another android.app, or assign only one of both to the user"
	}
	var reason string
	switch {
	case l.App != "" && tie:
		reason = fmt.Sprintf("%s takes one account on Android, that of the template %s with the same priority, %d, whose name sorts first", l.App.Title(), l.Winner, ours)
	case l.App != "":
		reason = fmt.Sprintf("%s takes one account on Android, that of the template %s, whose priority is higher: %d against %d", l.App.Title(), l.Winner, l.Priority, ours)
	case tie:
		reason = fmt.Sprintf("the template %s sets up %s with the same priority, %d, and its name sorts first", l.Winner, l.Mailbox, ours)
	default:
		reason = fmt.Sprintf("the template %s sets up %s, and its priority is higher: %d against %d", l.Winner, l.Mailbox, l.Priority, ours)
	}
	return refusal.New(ErrRender, "priority", reason, remedy)
}

// ForUser returns those revisions that are assigned to the user, in the order
// of their names; none for a shared mailbox.
func ForUser(revisions []Revision, u directory.User) []Revision {
	var assigned []Revision
	for _, r := range revisions {
		if reaches(r.Spec.Assign, r.Spec.Exclude, u) {
			assigned = append(assigned, r)
		}
	}
	slices.SortFunc(assigned, func(a, b Revision) int { return strings.Compare(a.Name, b.Name) })
	return assigned
}

// reaches says whether something that is assigned so is the user's.
func reaches(assign, exclude directory.Audience, u directory.User) bool {
	return !u.SharedMailbox && assign.Includes(u) && !exclude.Includes(u)
}

// Choose returns the templates that a user gets, in the order of their names,
// and those that lose a mailbox to one of them: the highest priority wins, then
// the name that sorts first. A template that loses one account is left out as a
// whole, as its profile would be refused by the phone. Assignment alone decides:
// a winner that cannot be rendered for the user leaves the mailbox to nobody, so
// that a missing value never sets up an account that must give way later.
func Choose(revisions []Revision, u directory.User) (won []Revision, lost []Lost) {
	assigned := ForUser(revisions, u)
	slices.SortStableFunc(assigned, func(a, b Revision) int { return cmp.Compare(b.Spec.Priority, a.Spec.Priority) })
	taken := map[string]*Revision{} // by mailbox
	for n, r := range assigned {
		mailboxes := mailboxes(r.Spec, u)
		if i := slices.IndexFunc(mailboxes, func(m string) bool { return taken[fold(m)] != nil }); i >= 0 {
			winner := taken[fold(mailboxes[i])]
			lost = append(lost, Lost{Revision: r, Winner: winner.Name, Priority: winner.Spec.Priority, Mailbox: mailboxes[i]})
			continue
		}
		for _, m := range mailboxes {
			taken[fold(m)] = &assigned[n]
		}
		won = append(won, r)
	}
	byName(won, lost)
	return won, lost
}

// byName puts a choice in the order of the templates' names.
func byName(won []Revision, lost []Lost) {
	slices.SortFunc(won, func(a, b Revision) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(lost, func(a, b Lost) int { return strings.Compare(a.Revision.Name, b.Revision.Name) })
}

// mailboxes names what a template would set up for a user. What the choice
// rests on must not change under way, so a variable without a value, and every
// fact of the phone, stands for itself.
func mailboxes(s Spec, u directory.User) []string {
	names := make([]string, 0, len(s.Accounts))
	for _, a := range s.Accounts {
		a = a.WithDefaults()
		for _, f := range fields(&a) {
			*f.value = approximate(*f.value, values{user: u})
		}
		names = append(names, a.Login()+" on "+a.Host)
	}
	return names
}

func approximate(text string, v values) string {
	parsed, refused := parseExpression("", text)
	if refused != nil {
		return text
	}
	var b strings.Builder
	for _, p := range parsed {
		switch value := ""; {
		case p.variable.Name == "":
			b.WriteString(p.literal)
		default:
			if value = p.variable.value(v); value == "" && p.empty == refuseEmpty {
				value = "%" + p.variable.Name + "%"
			}
			b.WriteString(cmp.Or(value, p.fallback))
		}
	}
	return b.String()
}

func fold(mailbox string) string { return directory.Fold(mailbox) }

// RefuseShared refuses a shared mailbox as the target of a mail profile.
func RefuseShared(u directory.User, sentinel error, field string) *refusal.Error {
	if !u.SharedMailbox {
		return nil
	}
	return refusal.New(sentinel, field, fmt.Sprintf("%s is a shared mailbox: Exchange ActiveSync does not serve those", u.UPN),
		"add it to a person's phone in Outlook, or clear the user's shared_mailbox mark")
}
