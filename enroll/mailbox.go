package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// MailClient is a device that shares a user's mailbox: a mail client that has come,
// an enrolled phone, or both in one.
type MailClient struct {
	ID          string // of the mail client on record; empty: none has come from this phone
	DeviceID    string // ActiveSync DeviceId, as it was first written
	Type, Model string
	Name        string           // that the phone has
	LastAt      time.Time        // newest contact; zero: it never came
	ShutOut     bool             // never let in, and blocked or no phone of ours for sure: it has but asked
	Enrollment  mdm.EnrollmentID // active one of the user that it is, or may be; empty: none
	Guessed     bool             // nothing but a guess says that it is that phone
	Device      mdm.DeviceID     // of that phone
	HasMail     bool             // a mail profile of ours is on that phone, or under way to it
}

// counts reports whether the device takes one of the mailbox's places at its
// server: it was let in, or its account is set up and it will be. A gate asks before
// anybody has checked a password: who only ever asked must keep nobody out.
func (c MailClient) counts() bool { return c.HasMail || c.placed() }

// placed reports whether the mail server may know it already, or will as soon as the
// phone that it is on is in order.
func (c MailClient) placed() bool { return !c.LastAt.IsZero() && !c.ShutOut }

// enrolled reports whether it is a phone of ours for sure.
func (c MailClient) enrolled() bool { return c.Enrollment != "" && !c.Guessed }

// String names it for an admin.
func (c MailClient) String() string {
	name := cmp.Or(strings.TrimSpace(c.Type+" "+c.Model), "a device")
	if c.Name != "" {
		name = fmt.Sprintf("%s (%s)", c.Name, name)
	}
	if c.DeviceID != "" {
		name += ", DeviceId " + c.DeviceID
	}
	return name + ", " + lastSeen(c.LastAt)
}

func lastSeen(t time.Time) string {
	if t.IsZero() {
		return "never seen"
	}
	return "last seen " + t.UTC().Format(time.DateOnly)
}

// MailboxStore tells who shares a mailbox. internal/store implements it.
type MailboxStore interface {
	// MailClients returns the devices on record of a user, and the active phones that
	// are none of them, in the order of DeviceID. Spellings of one DeviceId are one.
	MailClients(ctx context.Context, user directory.UserID) ([]MailClient, error)
	// Crowded returns users after the cursor, in the order of ID, for whom there are
	// that many devices on record and active phones together: at least those whose
	// MailClients are so many.
	Crowded(ctx context.Context, devices int, after directory.UserID, limit int) ([]directory.UserID, error)
}

// Mailbox is how many devices share a user's mailbox, of those that its server takes.
type Mailbox struct {
	User  directory.User
	Limit int // 0: none is known
	Used  int
	Spare *MailClient // the one to give up first; nil when there is none
}

// Full reports whether the server would take no other device.
func (m Mailbox) Full() bool { return m.Limit > 0 && m.Used >= m.Limit }

// Near reports whether it is time to clear up: at 80 % of the limit.
func (m Mailbox) Near() bool { return m.Limit > 0 && m.Used*100 >= m.Limit*mailboxWarning }

// mailboxWarning is from which share of the limit on there are warnings, in percent.
const mailboxWarning = 80

// Warning says how full it is and what to do, for an admin; empty where there is
// nothing to say.
func (m Mailbox) Warning() string {
	switch {
	case m.Full():
		return fmt.Sprintf("The mailbox has %d devices, and its mail server takes %d: a new phone's mail profile waits. %s", m.Used, m.Limit, m.Advice())
	case m.Near():
		return fmt.Sprintf("The mailbox has %d devices, and its mail server takes %d: soon a new phone's mail profile has to wait. %s", m.Used, m.Limit, m.Advice())
	}
	return ""
}

// Advice names the device that an admin should remove, and how.
func (m Mailbox) Advice() string {
	switch c := m.Spare; {
	case c == nil:
		return "Raise mailbox_device_limit where the mail server takes more."
	case c.enrolled():
		return fmt.Sprintf("Each is an enrolled phone; not used for longest: %s. End its management: sallyport device retire %s", c, c.Device)
	default:
		return fmt.Sprintf("Not used for longest: %s. Remove it at the mail server, and then here: sallyport access device remove %s --reason TEXT", c, c.ID)
	}
}

// share counts who shares a mailbox beside one enrolment, which is empty for all.
// The device to give up first is one that came and is no enrolled phone, or else a
// phone: of those the one that was not seen for longest.
func share(list []MailClient, beside mdm.EnrollmentID) (used int, spare *MailClient) {
	for i, c := range list {
		if !c.counts() || beside != "" && c.Enrollment == beside {
			continue
		}
		used++
		if spare == nil || spareFirst(c, *spare) < 0 {
			spare = &list[i]
		}
	}
	return used, spare
}

func spareFirst(a, b MailClient) int {
	if a.enrolled() != b.enrolled() {
		if a.enrolled() {
			return 1
		}
		return -1
	}
	return cmp.Or(a.LastAt.Compare(b.LastAt), strings.Compare(a.DeviceID, b.DeviceID))
}

func (s *Service) mailbox(ctx context.Context, u directory.User) (Mailbox, error) {
	m := Mailbox{User: u, Limit: s.MailboxLimit}
	list, err := s.Mailboxes.MailClients(ctx, u.ID)
	if err != nil {
		return m, fmt.Errorf("list devices of the mailbox of user %s: %w", u.ID, err)
	}
	m.Used, m.Spare = share(list, "")
	return m, nil
}

// Mailbox returns that of a user, by UPN. The directory's ErrNotFound for one who
// is not on record.
func (s *Service) Mailbox(ctx context.Context, upn string) (Mailbox, error) {
	u, err := s.Users.UserByUPN(ctx, upn)
	if err != nil {
		return Mailbox{}, fmt.Errorf("find user: %w", err)
	}
	return s.mailbox(ctx, u)
}

// FullMailboxes returns those of users after the cursor, in the order of ID, that
// are near their limit, and the cursor of the next page: empty after the last one.
func (s *Service) FullMailboxes(ctx context.Context, after directory.UserID, limit int) ([]Mailbox, directory.UserID, error) {
	if limit < 0 || limit > 1000 {
		return nil, "", refusal.New(ErrInvalid, "limit", "is not between 1 and 1000", "leave it out for 100")
	}
	list := []Mailbox{}
	if s.MailboxLimit == 0 {
		return list, "", nil
	}
	limit = cmp.Or(limit, 100)
	least := (s.MailboxLimit*mailboxWarning + 99) / 100
	users, err := s.Mailboxes.Crowded(ctx, least, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("list crowded mailboxes: %w", err)
	}
	for _, id := range users {
		u, err := s.Users.UserByID(ctx, id)
		if errors.Is(err, directory.ErrNotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("look up user %s: %w", id, err)
		}
		m, err := s.mailbox(ctx, u)
		if err != nil {
			return nil, "", err
		}
		if m.Near() {
			list = append(list, m)
		}
	}
	if len(users) < limit {
		return list, "", nil
	}
	return list, users[len(users)-1], nil
}

// crowd is why a phone's mail profile is not sent yet.
type crowd struct {
	used, limit int
	spare       *MailClient
}

// fact and fix are for who holds the phone, and must not tell more of another
// device than its owner needs to know it again.
func (c crowd) fact() string {
	return fmt.Sprintf("the mailbox has %d devices, and its mail server takes %d", c.used, c.limit)
}

func (c crowd) fix() string {
	const general = "Give up a device that you no longer use: your administrator removes it, and the mail account then comes by itself."
	if c.spare == nil {
		return general
	}
	return fmt.Sprintf("%s Not used for longest: %s, %s.", general, cmp.Or(strings.TrimSpace(c.spare.Type+" "+c.spare.Model), "a device"), lastSeen(c.spare.LastAt))
}

// crowded returns why a phone's mail profile has to wait; nil when it has not. The
// limit holds back new devices alone: a phone that was ever sent a mail profile has
// a place, and so has one whose mail client came before it was enrolled.
func (s *Service) crowded(ctx context.Context, have Have) (*crowd, error) {
	if s.MailboxLimit == 0 || have.Report.Device == nil || wasSentMail(have) {
		return nil, nil
	}
	list, err := s.Mailboxes.MailClients(ctx, have.User.ID)
	if err != nil {
		return nil, fmt.Errorf("list devices of the mailbox of user %s: %w", have.User.ID, err)
	}
	id := have.Enrollment.ID
	if slices.ContainsFunc(list, func(c MailClient) bool { return c.Enrollment == id && c.placed() }) {
		return nil, nil
	}
	used, spare := share(list, id)
	if used < s.MailboxLimit {
		return nil, nil
	}
	return &crowd{used, s.MailboxLimit, spare}, nil
}

// wasSentMail reports whether a mail profile of ours is on the phone, or may be.
func wasSentMail(have Have) bool {
	if p := have.Report.Profiles; p != nil && slices.ContainsFunc(p.Items, func(i mdm.ProfileOnFile) bool { return carriesMail(i.Identifier) }) {
		return true
	}
	return slices.ContainsFunc(have.Commands, func(c mdm.Command) bool {
		return c.RequestType == installProfile && carriesMail(c.Subject) && c.State != mdm.Failed && c.State != mdm.NotNow
	})
}
