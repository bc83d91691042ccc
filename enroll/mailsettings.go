package enroll

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/templates"
)

// MailSettings are what a phone's Settings should show of the mail that we
// install, so that a support desk can compare line by line.
type MailSettings struct {
	DeviceID mdm.DeviceID
	Device   string // its name
	UPN      string // of the user; empty when the user was removed
	Withheld mdm.Withholding
	Profiles []MailProfile
	LeftOut  []LeftTemplate // that are assigned to the user, and not on the phone
	Warnings []string       // about the phone as a whole
	Android  *AndroidGiven  // of an Android phone
}

// AndroidGiven is how far an Android phone has what it should have.
type AndroidGiven struct {
	Policy         string    // last part of the name of the policy that Google was given for it; empty: none yet
	Version        int64     // of that policy
	Applied        string    // last part of the name of the one that the phone has
	AppliedVersion int64     // of it
	ReportedAt     time.Time // when the phone told so; zero: never
	Trouble        string    // why Google has not what the phone should have; empty: nothing is known to be wrong
}

// MailProfileState is how a mail profile stands on a phone.
type MailProfileState string

const (
	MailInstalled MailProfileState = "installed" // the phone lists this very revision
	MailOutdated  MailProfileState = "outdated"  // the phone lists another revision
	MailMissing   MailProfileState = "missing"   // the phone does not list it
	MailRefused   MailProfileState = "refused"   // the phone was asked to install it and would not
	MailWaiting   MailProfileState = "waiting"   // the mailbox has no place for another device
	MailUnmade    MailProfileState = "unmade"    // it cannot be made for this user: Faults say why
	MailUnknown   MailProfileState = "unknown"   // the phone has listed nothing yet
)

// MailProfile is one mail profile as the phone should show it.
type MailProfile struct {
	Template    string
	Identifier  string
	UUID        string // top-level PayloadUUID of the current revision; empty when unmade
	DisplayName string // in Settings > General > VPN & Device Management; on Android the mail app
	Package     string // of the mail app on Android; empty elsewhere
	State       MailProfileState
	Reason      string // why the phone refused it
	Fix         string // what the user should do about it
	Faults      []*refusal.Error
	Accounts    []MailAccount
}

// MailAccount is one account as Settings should show it.
type MailAccount struct {
	Name string // in the list of mail accounts
	Rows []MailRow
}

// MailRow is one line of Settings.
type MailRow struct {
	Label string // as iOS names it in English; on Android the key of the app's managed configuration
	Value string
	Fixed bool // the user cannot change it
}

// MailSettings returns what the phone's Settings should show. ErrNotFound when
// the device is unknown.
func (s *Service) MailSettings(ctx context.Context, id mdm.DeviceID) (MailSettings, error) {
	row, err := s.Device(ctx, id)
	if err != nil {
		return MailSettings{}, err
	}
	m := MailSettings{DeviceID: id, Device: deviceName(row), UPN: row.UPN, Withheld: row.Enrollment.Withheld}
	m.warn(row)
	have, err := s.Plans.LoadPlan(ctx, row.Enrollment.ID)
	if err != nil {
		return MailSettings{}, fmt.Errorf("load plan of enrolment %s: %w", row.Enrollment.ID, err)
	}
	m.Warnings = append(m.Warnings, googleWarnings(have)...)
	user, err := s.Users.UserByID(ctx, row.Enrollment.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		m.Warnings = append(m.Warnings, "The user was removed: nothing is installed any more.")
		return m, nil
	}
	if err != nil {
		return MailSettings{}, fmt.Errorf("look up user of enrolment %s: %w", row.Enrollment.ID, err)
	}
	if row.Enrollment.Withheld == mdm.WithholdEverything {
		return m, nil
	}
	if m.LeftOut, err = s.leftOut(ctx, row, user); err != nil {
		return MailSettings{}, err
	}
	if row.Device.Platform == mdm.Android {
		err = s.androidSettings(ctx, &m, have)
	} else {
		err = s.appleSettings(ctx, &m, user, have)
	}
	if err != nil {
		return MailSettings{}, err
	}
	if len(m.Profiles) == 0 {
		m.Warnings = append(m.Warnings, "No mail template is assigned to this user.")
		return m, nil
	}
	return m, s.warnOfMailbox(ctx, &m, have)
}

func (s *Service) appleSettings(ctx context.Context, m *MailSettings, u directory.User, have Have) error {
	won, _, options, err := s.chosen(ctx, u, have.Report.Device)
	if err != nil {
		return err
	}
	for _, revision := range won {
		m.Profiles = append(m.Profiles, mailProfile(revision, u, options, have))
	}
	return nil
}

// warnOfMailbox says where the mailbox runs out of places for devices.
func (s *Service) warnOfMailbox(ctx context.Context, m *MailSettings, have Have) error {
	why, err := s.crowded(ctx, have)
	if err != nil {
		return err
	}
	box, err := s.mailbox(ctx, have.User)
	if err != nil {
		return err
	}
	if warning := box.Warning(); warning != "" {
		m.Warnings = append(m.Warnings, warning)
	}
	for i := range m.Profiles {
		if p := &m.Profiles[i]; why != nil && p.State != MailUnmade {
			p.State = MailWaiting
		}
	}
	return nil
}

// warn says what about the phone explains that it shows something else.
func (m *MailSettings) warn(row DeviceRow) {
	if e := row.Enrollment; !e.State.Active() {
		m.Warnings = append(m.Warnings, fmt.Sprintf("The phone is not enrolled (%s): it shows what it had last, or nothing.", strings.ReplaceAll(string(e.State), "_", " ")))
		return // no act gives anything back: the phone has to enrol again
	}
	switch row.Enrollment.Withheld {
	case mdm.WithholdEverything:
		m.Warnings = append(m.Warnings, "An administrator took the mail away: the phone should show no account of ours. A resend gives it back.")
	case mdm.WithholdPolicies:
		m.Warnings = append(m.Warnings, "An administrator took the security policies away. A resend gives them back.")
	case mdm.WithholdNothing:
	}
	if locked := accountsLocked(row.Report); locked != "" {
		m.Warnings = append(m.Warnings, locked)
	}
}

func mailProfile(r templates.Revision, u directory.User, o templates.Options, have Have) MailProfile {
	p := MailProfile{Template: r.Name, Identifier: templates.ProfileIdentifier(r.TemplateID, u.ID)}
	rendered, err := templates.Render(r, u, o)
	if err != nil {
		p.State, p.Faults = MailUnmade, refusal.All(err)
		return p
	}
	if rendered.AwaitsKeys {
		p.State, p.Faults = MailUnmade, []*refusal.Error{refusal.New(templates.ErrRender, "smime",
			"for user "+u.UPN+": there is no S/MIME certificate yet", "it is made when the phone calls; where that fails, the server's log says why")}
		return p
	}
	p.UUID, p.DisplayName = rendered.Profile.TopUUID(), rendered.Profile.DisplayName
	p.State = p.listed(have.Report.Profiles)
	refused := refusedInstall(have.Commands, WantedProfile{Identifier: p.Identifier, UUID: p.UUID})
	if refused.reason != "" && p.State != MailInstalled {
		p.State, p.Reason, p.Fix = MailRefused, refused.reason, refused.fix
	}
	for _, a := range rendered.Accounts {
		p.Accounts = append(p.Accounts, MailAccount{Name: a.Name, Rows: mailRows(a)})
	}
	return p
}

func (p MailProfile) listed(facts *mdm.ProfileFacts) MailProfileState {
	if facts == nil {
		return MailUnknown
	}
	for _, item := range facts.Items {
		switch {
		case item.Identifier != p.Identifier:
		case strings.EqualFold(item.UUID, p.UUID):
			return MailInstalled
		default:
			return MailOutdated
		}
	}
	return MailMissing
}

// mailRows are the lines of Settings > Apps > Mail > Mail Accounts > the account,
// in the order in which an iPhone shows them.
func mailRows(a profiles.ExchangeAccount) []MailRow {
	fixed := func(label, value string) MailRow { return MailRow{label, value, true} }
	rows := []MailRow{fixed("Email", a.Email), fixed("Server", a.Host), fixed("Domain", a.Domain), fixed("Username", a.UserName)}
	if a.UsesOAuth() {
		rows = append(rows, fixed("Sign-in", "the provider's own page; no password is stored"))
	} else if a.Password == nil {
		rows = append(rows, MailRow{"Password", "asked of the user once", false})
	} else {
		rows = append(rows, fixed("Password", "sent with the profile"))
	}
	rows = append(rows, fixed("Use SSL", onOff(a.UsesSSL())))
	if a.Identity != profiles.IdentityNone && a.Identity != "" {
		rows = append(rows, fixed("Client certificate", string(a.Identity)))
	}
	for _, service := range []struct {
		label string
		profiles.Service
	}{{"Mail", a.Sync.Mail}, {"Contacts", a.Sync.Contacts}, {"Calendars", a.Sync.Calendar}, {"Reminders", a.Sync.Reminders}, {"Notes", a.Sync.Notes}} {
		rows = append(rows, MailRow{service.label, onOff(service.On()), service.Locked})
	}
	rows = append(rows, MailRow{"Mail Days to Sync", days(a.DaysToKeepOffline), false},
		MailRow{"Sign", onOff(a.SMIME.Sign.Enabled), !a.SMIME.Sign.UserMayChange},
		MailRow{"Encrypt by Default", onOff(a.SMIME.Encrypt.ByDefault), !a.SMIME.Encrypt.UserMayChange})
	return rows
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// days is how the phone names a number of days; it has 7 where nothing is said.
func days(n *int) string {
	switch {
	case n == nil:
		return "1 Week"
	case *n == 0:
		return "No Limit"
	case *n == 1:
		return "1 Day"
	case *n == 7:
		return "1 Week"
	case *n == 14:
		return "2 Weeks"
	case *n == 31:
		return "1 Month"
	}
	return strconv.Itoa(*n) + " Days"
}
