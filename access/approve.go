package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

const (
	maxWordDevices = 1000
	maxExemption   = 90 * 24 * time.Hour
)

// Word is what an admin says of devices: either of some that are on record, or of
// one user's device by its DeviceId, met yet or not, or of all of one user's.
type Word struct {
	Kind      PersonalKind
	Devices   []DeviceID
	User      string // UPN
	EASDevice string // DeviceId in any spelling; empty beside User: every device of theirs
	Reason    string
	ExpiresAt time.Time // an exemption needs it
}

// said is a Word as it goes into storage, with whom it is about.
type said struct {
	personal Personal
	target   string // for the trail: the device's ID, or the user's UPN
	upn      string
}

// PlanWord says what Say would do, device by device.
func (s *Service) PlanWord(ctx context.Context, w Word) ([]Shift, error) {
	list, err := s.read(ctx, w)
	if err != nil {
		return nil, err
	}
	return s.shifts(ctx, list, say)
}

// Say allows, blocks or exempts devices, all or none. It returns how each one was
// answered before and is from now on: an allow, for example, does not outlive a
// failed policy.
func (s *Service) Say(ctx context.Context, w Word) ([]Shift, error) {
	list, err := s.read(ctx, w)
	if err != nil {
		return nil, err
	}
	found, err := s.shifts(ctx, list, say)
	if err != nil {
		return nil, err
	}
	words, entries := make([]Personal, len(list)), make([]audit.Entry, len(list))
	for i, x := range list {
		words[i] = x.personal
		detail := []string{"user", x.upn, "device_key", string(x.personal.Key), "reason", x.personal.Reason}
		if !x.personal.ExpiresAt.IsZero() {
			detail = append(detail, "until", x.personal.ExpiresAt.Format(time.RFC3339))
		}
		entries[i] = s.entry(ctx, "access."+string(w.Kind), x.target, detail...)
	}
	if err := s.Devices.SavePersonal(ctx, words, entries); err != nil {
		return nil, fmt.Errorf("save what is said of devices: %w", err)
	}
	return found, nil
}

// PlanTakeBack says what TakeBack would do, device by device.
func (s *Service) PlanTakeBack(ctx context.Context, w Word) ([]Shift, error) {
	_, found, err := s.ending(ctx, w)
	return found, err
}

// TakeBack ends words of that kind; ErrNotFound, and none is ended, where one is
// not there. The expiry is not looked at.
func (s *Service) TakeBack(ctx context.Context, w Word) error {
	list, _, err := s.ending(ctx, w)
	if err != nil {
		return err
	}
	for _, x := range list {
		entry := s.entry(ctx, "access.take_back", x.target, "kind", string(w.Kind), "user", x.upn, "device_key", string(x.personal.Key), "reason", w.Reason)
		err := s.Devices.RemovePersonal(ctx, x.personal.UserID, x.personal.Key, w.Kind, entry)
		if errors.Is(err, ErrNotFound) { // another admin was faster
			return unsaid(w.Kind)
		}
		if err != nil {
			return fmt.Errorf("take back what is said of a device: %w", err)
		}
	}
	return nil
}

// ending finds the words that are taken back, and how devices are answered without.
func (s *Service) ending(ctx context.Context, w Word) ([]said, []Shift, error) {
	if fault := checkReason(w.Reason); fault != nil {
		return nil, nil, fault
	}
	list, err := s.aim(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	found, err := s.shifts(ctx, list, unsay)
	return list, found, err
}

func unsaid(kind PersonalKind) error {
	return refusal.New(ErrNotFound, "kind", "there is no "+string(kind)+" of this device, or of all devices of this user", "look at the device to see what is said of it")
}

// read checks a word and finds whom it is about.
func (s *Service) read(ctx context.Context, w Word) ([]said, error) {
	var faults refusal.List
	faults.Add(checkReason(w.Reason), s.checkExpiry(w))
	if err := faults.OrNil(); err != nil {
		return nil, err
	}
	list, err := s.aim(ctx, w)
	if err != nil {
		return nil, err
	}
	note := Note{By: audit.Actor(ctx), At: s.now(), Reason: strings.TrimSpace(w.Reason)}
	for i := range list {
		list[i].personal.Note, list[i].personal.ExpiresAt = note, w.ExpiresAt
	}
	return list, nil
}

func (s *Service) checkExpiry(w Word) *refusal.Error {
	now := s.now()
	switch {
	case w.ExpiresAt.IsZero() && w.Kind == PersonalExempt:
		return refusal.New(ErrInvalid, "expires_at", "is missing", "an exemption ends by itself: give a time within 90 days")
	case w.ExpiresAt.IsZero():
		return nil
	case !w.ExpiresAt.After(now):
		return refusal.New(ErrInvalid, "expires_at", "is over", "give a time in the future")
	case w.Kind == PersonalExempt && w.ExpiresAt.After(now.Add(maxExemption)):
		return refusal.New(ErrInvalid, "expires_at", "is more than 90 days away", "give a time within 90 days, and renew the exemption then if it must be")
	}
	return nil
}

// aim finds whom a word is about, without a note and an expiry.
func (s *Service) aim(ctx context.Context, w Word) ([]said, error) {
	var faults refusal.List
	if w.Kind != PersonalAllow && w.Kind != PersonalBlock && w.Kind != PersonalExempt {
		faults.Add(refusal.New(ErrInvalid, "kind", "is none of allow, block and exempt", "choose one of them"))
	}
	if (len(w.Devices) == 0) == (w.User == "") || w.User == "" && w.EASDevice != "" {
		faults.Add(refusal.New(ErrInvalid, "devices", "name either devices on record or a user", "give the IDs of devices, or a user with or without one DeviceId"))
	}
	if len(w.Devices) > maxWordDevices {
		faults.Add(refusal.New(ErrInvalid, "devices", fmt.Sprintf("are %d", len(w.Devices)), fmt.Sprintf("name at most %d at once", maxWordDevices)))
	}
	if w.EASDevice != "" {
		faults.Add(refusal.Line(ErrInvalid, "eas_device_id", w.EASDevice, maxDevice), checkSpelling("eas_device_id", w.EASDevice))
	}
	if err := faults.OrNil(); err != nil {
		return nil, err
	}
	if w.User != "" {
		u, err := s.People.UserByUPN(ctx, w.User)
		if err != nil {
			return nil, fmt.Errorf("find user: %w", err)
		}
		p := Personal{UserID: u.ID, Kind: w.Kind}
		if w.EASDevice != "" {
			p.Key = Canonical(w.EASDevice)
		}
		return []said{{personal: p, target: u.UPN, upn: u.UPN}}, nil
	}
	var list []said
	for i, id := range w.Devices {
		if slices.Contains(w.Devices[:i], id) {
			continue
		}
		row, err := s.device(ctx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, said{personal: Personal{UserID: row.UserID, Key: row.Key, Kind: w.Kind}, target: string(id), upn: row.UPN})
	}
	return list, nil
}

// shifts asks about every device that the words are about, before and after change
// is made to what is said of it.
func (s *Service) shifts(ctx context.Context, list []said, change func([]Personal, Personal) ([]Personal, error)) ([]Shift, error) {
	world, err := s.World(ctx)
	if err != nil {
		return nil, err
	}
	var ids []directory.UserID
	for _, x := range list {
		if !slices.Contains(ids, x.personal.UserID) {
			ids = append(ids, x.personal.UserID)
		}
	}
	entries, err := s.Source.EntriesOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	found := []Shift{}
	for i := range entries {
		e := &entries[i]
		for _, x := range list {
			if x.personal.UserID != e.Person.ID {
				continue
			}
			words, err := change(e.Personal, x.personal)
			if err != nil {
				return nil, err
			}
			for _, d := range about(e, x.personal.Key) {
				found = append(found, s.shift(e, d, world, world, words))
			}
		}
	}
	slices.SortFunc(found, func(a, b Shift) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.EASDevice, b.EASDevice))
	})
	return found, nil
}

// about are the devices of that key: all for none, and one that was never met.
func about(e *Entry, key DeviceKey) []Device {
	var list []Device
	for _, d := range e.Devices {
		if key == "" || d.Key == key {
			list = append(list, d)
		}
	}
	if list == nil && key != "" {
		list = []Device{{UserID: e.Person.ID, Key: key}}
	}
	return list
}

// say is the list with one more word, which replaces others as SavePersonal does.
func say(list []Personal, p Personal) ([]Personal, error) {
	kept := make([]Personal, 0, len(list)+1)
	for _, have := range list {
		replaced := have.Kind == p.Kind || have.Kind != PersonalExempt && p.Kind != PersonalExempt
		if have.Key != p.Key || !replaced {
			kept = append(kept, have)
		}
	}
	return append(kept, p), nil
}

// unsay is the list without that word, as RemovePersonal leaves it.
func unsay(list []Personal, p Personal) ([]Personal, error) {
	kept := slices.DeleteFunc(slices.Clone(list), func(have Personal) bool { return have.Key == p.Key && have.Kind == p.Kind })
	if len(kept) == len(list) {
		return nil, unsaid(p.Kind)
	}
	return kept, nil
}

// device is one on record, or a refusal that names it.
func (s *Service) device(ctx context.Context, id DeviceID) (DeviceRow, error) {
	row, err := s.Devices.Device(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return DeviceRow{}, refusal.New(ErrNotFound, "id", "there is no mail client "+strconv.Quote(string(id)), "list them to see the IDs: sallyport access device list")
	}
	if err != nil {
		return DeviceRow{}, fmt.Errorf("read device: %w", err)
	}
	return row, nil
}
