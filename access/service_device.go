package access

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Detail is all that is known of one device, and what would be said of it now.
type Detail struct {
	DeviceRow
	Phones   []Phone     `json:"phones"`   // that it is, or may be
	Personal []Personal  `json:"personal"` // words about it, and about all of the user's devices
	Decision Decision    `json:"decision"`
	Trace    []TraceLine `json:"trace"`
}

// List returns devices in the order of ID; see DeviceFilter.
func (s *Service) List(ctx context.Context, f DeviceFilter) ([]DeviceRow, error) {
	rows, err := s.Devices.Devices(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return rows, nil
}

// ListOf is List for the devices of one user, by UPN. The directory's ErrNotFound
// for one who is not on record.
func (s *Service) ListOf(ctx context.Context, upn string, f DeviceFilter) ([]DeviceRow, error) {
	u, err := s.People.UserByUPN(ctx, upn)
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	f.User = u.ID
	return s.List(ctx, f)
}

// Show returns one device; ErrNotFound.
func (s *Service) Show(ctx context.Context, id DeviceID) (Detail, error) {
	row, e, err := s.whole(ctx, id)
	if err != nil {
		return Detail{}, err
	}
	world, err := s.World(ctx)
	if err != nil {
		return Detail{}, err
	}
	in := e.Inputs(s.now(), row.Client(), row.Device, world)
	d := Detail{DeviceRow: row, Phones: in.Phones, Personal: []Personal{}}
	if d.Phones == nil {
		d.Phones = []Phone{}
	}
	for _, p := range e.Personal {
		if p.Key == "" || p.Key == row.Key {
			d.Personal = append(d.Personal, p)
		}
	}
	d.Decision, d.Trace = in.Explain()
	return d, nil
}

// whole is a device with its person.
func (s *Service) whole(ctx context.Context, id DeviceID) (DeviceRow, *Entry, error) {
	row, err := s.device(ctx, id)
	if err != nil {
		return DeviceRow{}, nil, err
	}
	entries, err := s.Source.EntriesOf(ctx, []directory.UserID{row.UserID})
	if err != nil {
		return DeviceRow{}, nil, fmt.Errorf("read people: %w", err)
	}
	if len(entries) == 0 { // removed between the two reads
		return DeviceRow{}, nil, refusal.New(ErrNotFound, "id", "the user of this mail client is gone", "list them to see who is there: sallyport access device list")
	}
	return row, &entries[0], nil
}

// Bind confirms that the device is that enrolled phone, or the one that it
// probably is when to is empty. From then on conditions are judged by it.
func (s *Service) Bind(ctx context.Context, id DeviceID, to mdm.EnrollmentID, reason string) (mdm.EnrollmentID, error) {
	if fault := checkReason(reason); fault != nil {
		return "", fault
	}
	row, e, err := s.whole(ctx, id)
	if err != nil {
		return "", err
	}
	if to == "" {
		to = row.Bound
	}
	if to == "" {
		return "", refusal.New(ErrInvalid, "enrollment_id", "is missing, and nothing was guessed", "name the enrolment of the phone that this mail client is on")
	}
	at := slices.IndexFunc(e.Phones, func(p Phone) bool { return p.EnrollmentID == to })
	switch {
	case at < 0:
		return "", refusal.New(ErrInvalid, "enrollment_id", "is no enrolment of "+row.UPN, "name one of this user's: see the phones of the user")
	case e.Phones[at].State.Ended():
		return "", refusal.New(ErrInvalid, "enrollment_id", "is of an enrolment that has ended", "name the phone's newest one")
	}
	entry := s.entry(ctx, "access.bind", string(id), "enrollment", string(to), "user", row.UPN, "reason", reason)
	if err := s.Devices.Bind(ctx, id, to, ProofConfirmed, entry); err != nil {
		return "", fmt.Errorf("bind device %s: %w", id, err)
	}
	return to, nil
}

// Unbind ends a binding that was confirmed or guessed. One that the phone itself
// reports, or proves by its certificate, stands in the phone's own words.
func (s *Service) Unbind(ctx context.Context, id DeviceID, reason string) error {
	if fault := checkReason(reason); fault != nil {
		return fault
	}
	row, err := s.device(ctx, id)
	if err != nil {
		return err
	}
	if row.Bound == "" {
		return refusal.New(ErrNotFound, "id", "the mail client "+strconv.Quote(string(id))+" is bound by no admin and no guess", "a phone that reports this DeviceId of itself is bound until it reports another one, or is un-enrolled")
	}
	entry := s.entry(ctx, "access.unbind", string(id), "enrollment", string(row.Bound), "user", row.UPN, "reason", reason)
	if err := s.Devices.Bind(ctx, id, "", ProofNone, entry); err != nil {
		return fmt.Errorf("unbind device %s: %w", id, err)
	}
	return nil
}

// Remove forgets a device until it comes again. Words about it stay, and no phone is
// un-enrolled by it: one that is enrolled is refused.
func (s *Service) Remove(ctx context.Context, id DeviceID, reason string) error {
	if fault := checkReason(reason); fault != nil {
		return fault
	}
	row, err := s.PlanRemove(ctx, id)
	if err != nil {
		return err
	}
	entry := s.entry(ctx, "access.remove_device", string(id), "user", row.UPN, "device_key", string(row.Key), "reason", reason)
	if err := s.Mail.RemoveDevice(ctx, id, entry); err != nil {
		return fmt.Errorf("remove device %s: %w", id, err)
	}
	return nil
}

// PlanRemove is the device that Remove would forget, and does nothing.
func (s *Service) PlanRemove(ctx context.Context, id DeviceID) (DeviceRow, error) {
	row, e, err := s.whole(ctx, id)
	if err != nil {
		return DeviceRow{}, err
	}
	for _, p := range e.bound(row.Device, row.Client()) {
		if p.Proof.Counts() && p.State.Active() {
			return DeviceRow{}, refusal.New(ErrConflict, "id", "this mail client is on an enrolled phone, and would be back at its next contact",
				"end the management of the phone instead: sallyport device retire "+row.Spelling()+"; where an admin's word binds it: sallyport access device unbind "+string(id))
		}
	}
	return row, nil
}

// Spelling is the DeviceId as its client wrote it first.
func (d *Device) Spelling() string {
	if len(d.Spellings) > 0 {
		return d.Spellings[0]
	}
	return string(d.Key)
}
