package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

var osVersion = regexp.MustCompile(`^[1-9][0-9]?(\.[0-9]{1,2}){0,2}$`)

// change changes the phone as its owner would. The server learns of it at the
// next contact.
func (p *Phone) change(how func(*state) error) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	clock := p.s.Facts.Clock
	if err := how(p.s); err != nil {
		return err // the state in memory is thrown away
	}
	if p.s.Facts.Clock != clock {
		p.dropConnections()
	}
	return p.save()
}

// setters are what Set knows, by key.
var setters = map[string]func(s *state, value string) error{
	"passcode":   func(s *state, v string) (err error) { s.Facts.Passcode, err = onOff("passcode", v); return err },
	"supervised": func(s *state, v string) (err error) { s.Facts.Supervised, err = onOff("supervised", v); return err },
	"awaiting":   func(s *state, v string) (err error) { s.Facts.Awaiting, err = onOff("awaiting", v); return err },
	"locked": func(s *state, v string) error {
		locked, err := onOff("locked", v)
		s.Facts.unlock()
		s.Facts.Locked = locked
		return err
	},
	"os":       (*state).setOS,
	"name":     (*state).setName,
	"clock":    (*state).setClock,
	"accounts": (*state).setAccounts,
	"account":  (*state).setAccount,
	"profile":  (*state).setProfile,
	"token": func(s *state, v string) error {
		if v != "new" {
			return fmt.Errorf("%w: token: %q is not new", ErrInvalid, v)
		}
		return s.newToken()
	},
	"notnow": func(s *state, v string) error {
		d, err := parseDeferral(v)
		s.Script.NotNow = append(s.Script.NotNow, d)
		return err
	},
	"refuse": func(s *state, v string) error {
		r, err := parseRefusal(v)
		s.Script.Refuse = append(s.Script.Refuse, r)
		return err
	},
	"lose-answers": func(s *state, v string) (err error) { s.Script.LoseAnswers, err = times("lose-answers", v); return err },
	"lose-results": func(s *state, v string) (err error) { s.Script.LoseResults, err = times("lose-results", v); return err },
	"lose-replies": func(s *state, v string) (err error) { s.Script.LoseReplies, err = times("lose-replies", v); return err },
	"repeat-results": func(s *state, v string) (err error) {
		s.Script.RepeatResults, err = times("repeat-results", v)
		return err
	},
	"hold-results": func(s *state, v string) (err error) { s.Script.HoldResults, err = times("hold-results", v); return err },
	"lose-checkout": func(s *state, v string) (err error) {
		s.Script.LoseCheckOut, err = onOff("lose-checkout", v)
		return err
	},
	"script": func(s *state, v string) error {
		if v != "off" {
			return fmt.Errorf("%w: script: %q is not off", ErrInvalid, v)
		}
		s.Script = Script{}
		return nil
	},
}

// Set changes the phone, or what happens to it, by assignments of the form
// KEY=VALUE; docs/agent.md lists them. All of them or none.
func (p *Phone) Set(assignments ...string) error {
	return p.change(func(s *state) error {
		for _, a := range assignments {
			key, value, ok := strings.Cut(a, "=")
			if !ok {
				return fmt.Errorf("%w: %q is not KEY=VALUE", ErrInvalid, a)
			}
			set := setters[key]
			if s.Android != nil {
				set = androidSetters[key]
			}
			if set == nil {
				return fmt.Errorf("%w: %q cannot be set (the manual of sallyport-agent lists what can)", ErrInvalid, key)
			}
			if err := set(s, value); err != nil {
				return err
			}
		}
		return nil
	})
}

func onOff(key, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "on", "yes", "true":
		return true, nil
	case "off", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("%w: %s: %q is neither on nor off", ErrInvalid, key, value)
}

func (s *state) setOS(value string) error {
	if !osVersion.MatchString(value) {
		return fmt.Errorf("%w: os: %q is not a version like 26.1", ErrInvalid, value)
	}
	s.Facts.OS = value
	return nil
}

func (s *state) setName(value string) error {
	if value == "" || len(value) > 63 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%w: name: 1 to 63 printable characters", ErrInvalid)
	}
	s.Facts.Name = value
	return nil
}

// maxClock is ten years: wrong enough.
const maxClock = 10 * 365 * 24 * time.Hour

func (s *state) setClock(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < -maxClock || d > maxClock {
		return fmt.Errorf("%w: clock: %q is not a time like 36h or -1h30m by which it is wrong", ErrInvalid, value)
	}
	s.Facts.Clock = d
	return nil
}

func (s *state) setAccounts(value string) error {
	switch value {
	case "fixed":
		s.Facts.AccountsFixed = true
	case "free":
		s.Facts.AccountsFixed = false
	default:
		return fmt.Errorf("%w: accounts: %q is neither fixed nor free", ErrInvalid, value)
	}
	return nil
}

// setAccount reads MAIL, MAIL@HOST or removed.
func (s *state) setAccount(value string) error {
	if value == "removed" {
		s.Accounts = keep(s.Accounts, func(a account) bool { return a.Profile != "" })
		return nil
	}
	mail, host := value, ""
	if last := strings.LastIndexByte(value, '@'); strings.Count(value, "@") == 2 {
		mail, host = value[:last], value[last+1:]
	}
	if !mailAddress.MatchString(mail) || mailAddress.FindString(mail) != mail || !validHost(host) {
		return fmt.Errorf("%w: account: %q is not an address like alice@example.test, one with @HOST behind it, or removed", ErrInvalid, value)
	}
	return s.addAccount(mail, mail, host)
}

func (s *state) setProfile(value string) error {
	name, ok := strings.CutPrefix(value, "removed:")
	if !ok {
		return fmt.Errorf("%w: profile: %q is not removed:IDENTIFIER", ErrInvalid, value)
	}
	return s.removeByHand(name)
}

// AddAccount adds an Exchange account by hand, as the owner may in Settings; an
// empty host is left to Autodiscover. A managed account for the same mailbox is
// then refused by the phone (21005).
func (p *Phone) AddAccount(email, user, host string) error {
	return p.change(func(s *state) error { return s.addAccount(email, user, host) })
}

func (s *state) addAccount(email, user, host string) error {
	a := account{Name: email, Email: email, User: user, Host: host, SSL: true, DaysToSync: 7}
	if s.Facts.AccountsFixed {
		return fmt.Errorf("%w: accounts may not be changed on this phone", ErrInvalid)
	}
	if slices.ContainsFunc(s.Accounts, a.sameMailbox) {
		return fmt.Errorf("%w: the account is on the phone already", ErrInvalid)
	}
	s.Accounts = append(s.Accounts, a)
	return nil
}

// RemoveAccount removes the accounts of that address that were made by hand.
func (p *Phone) RemoveAccount(email string) error {
	return p.change(func(s *state) error {
		left := keep(s.Accounts, func(a account) bool { return a.Profile != "" || !strings.EqualFold(a.Email, email) })
		if len(left) == len(s.Accounts) {
			return fmt.Errorf("%w: no account of %s was made by hand", ErrInvalid, email)
		}
		s.Accounts = left
		return nil
	})
}

// RemoveProfile removes a profile by hand with all that it brought. iOS lets
// nobody remove a managed one alone, but profiles do vanish: by a tethered
// computer, by another management's leftovers.
func (p *Phone) RemoveProfile(identifier string) error {
	return p.change(func(s *state) error { return s.removeByHand(identifier) })
}

func (s *state) removeByHand(name string) error {
	switch {
	case s.Enrolment != nil && name == s.Enrolment.Identifier:
		return fmt.Errorf("%w: that is the management: unenroll", ErrInvalid)
	case !slices.ContainsFunc(s.Profiles, func(i installed) bool { return i.Identifier == name }):
		return fmt.Errorf("%w: profile %q is not on the phone", ErrInvalid, name)
	}
	*s = *s.without(name)
	return nil
}

// NewToken gives the phone a new push token, which it tells the server first
// thing at the next Connect.
func (p *Phone) NewToken() error { return p.change((*state).newToken) }

func (s *state) newToken() error {
	if s.Stage != StageEnrolled {
		return ErrNotEnrolled
	}
	s.Enrolment.PushToken, s.TokenDue = randomBytes(32), true
	return nil
}
