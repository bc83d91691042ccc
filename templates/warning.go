package templates

import (
	"fmt"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
)

// Warnings are what is allowed in a template but hardly meant, by field: those
// of each account, facts of the phone that not every phone tells, and what the
// mail app that is asked for on Android needs.
func (s Spec) Warnings() []*refusal.Error {
	list := append(s.deviceWarnings(), warnings(s.Accounts)...)
	if s.Android.App != "" && len(s.Accounts) > 0 {
		list = append(list, appWarnings(s.Android.App, s.Accounts[0])...)
	}
	return list
}

// deviceWarnings name each variable that is a fact of the phone.
func (s Spec) deviceWarnings() []*refusal.Error {
	var list []*refusal.Error
	s.eachExpression(func(path string, e expression) {
		for _, p := range e {
			if p.variable.Device {
				list = append(list, p.warning(path))
			}
		}
	})
	return list
}

func (p part) warning(path string) *refusal.Error {
	reason := fmt.Sprintf("uses %%%s%%, a fact of the phone: the profile waits for the phone's first report", p.variable.Name)
	remedy := "use a variable of the user where that must not be"
	if len(p.variable.Lacking) > 0 {
		gets := "no profile"
		switch p.empty {
		case refuseEmpty:
			remedy = fmt.Sprintf("write %%%s|text%% for a default, or use a variable of the user", p.variable.Name)
		case acceptEmpty:
			gets = "nothing in its place"
		case replaceEmpty:
			gets = strconv.Quote(p.fallback) + " in its place"
		}
		reason += fmt.Sprintf(". By %s a phone never tells it, and gets %s", strings.Join(p.variable.Lacking, ", "), gets)
	}
	return refusal.New(ErrInvalid, path, reason, remedy)
}

// eachExpression calls do with every field that may hold variables, by its path.
func (s Spec) eachExpression(do func(path string, e expression)) {
	try := func(path, text string) {
		if parsed, refused := parseExpression(path, text); refused == nil {
			do(path, parsed)
		}
	}
	try("display_name", s.DisplayName)
	for i := range s.Accounts {
		for _, f := range fields(&s.Accounts[i]) {
			try(accountPath(i)+f.path, *f.value)
		}
	}
}

// UsesDevice reports whether the template names a fact of the phone, so that it
// can be rendered only for a phone that has reported.
func (s Spec) UsesDevice() bool {
	uses := false
	s.eachExpression(func(_ string, e expression) { uses = uses || e.usesDevice() })
	return uses
}
