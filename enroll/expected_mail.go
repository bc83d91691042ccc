package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

// memo remembers the top-level UUID of every user's mail profiles: for each
// revision of a template and each state of a user it is rendered once, however
// many phones are judged, and how often. A user takes some 150 bytes.
type memo struct {
	mu    sync.Mutex
	users map[[16]byte]memoUser // by all that a rendering takes from a user
}

type memoUser struct {
	at       Catalog // the templates that these were chosen from
	profiles []memoProfile
}

type memoProfile struct {
	template string // its ID
	name     string // of the template
	number   int    // of the revision
	uuid     uuid.UUID
}

// memosAtMost bounds it at some 40 MB.
const memosAtMost = 250_000

// memoKey is a fingerprint of everything that a rendering takes from a user, and
// of whether the phone has told of itself.
func memoKey(u directory.User, reported bool) (key [16]byte) {
	var text []byte
	add := func(s string) {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	text = make([]byte, 0, 256)
	for _, s := range [...]string{string(u.ID), u.UPN, u.Email, u.Username, u.DomainName, u.DisplayName, u.FirstName, u.MiddleName, u.LastName} {
		add(s)
	}
	for _, g := range u.Groups {
		add(g)
	}
	text = append(text, flag(u.SharedMailbox), flag(reported))
	sum := sha256.Sum256(text)
	copy(key[:], sum[:])
	return key
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (m *memo) find(key [16]byte) memoUser {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users[key]
}

func (m *memo) keep(key [16]byte, known memoUser) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users == nil || len(m.users) >= memosAtMost {
		m.users = map[[16]byte]memoUser{}
	}
	m.users[key] = known
}

// mailProfiles are the mail profiles that a user should have on a phone, and false
// where that takes more than the template and the user: a fact of the phone, a
// secret, or S/MIME keys, which are looked at anew each time.
func (s *Service) mailProfiles(ctx context.Context, at Catalog, u directory.User, device *mdm.DeviceFacts) ([]WantedProfile, bool, error) {
	if at == (Catalog{}) {
		return nil, false, nil
	}
	key := memoKey(u, device != nil)
	known := s.memo.find(key)
	if known.at != at {
		all, err := s.catalog(ctx, at)
		if err != nil {
			return nil, false, err
		}
		won, _ := templates.Choose(all.templates, u)
		profiles := make([]memoProfile, 0, len(won))
		for _, r := range won {
			if !alike(r.Spec) {
				return nil, false, nil
			}
			profiles = append(profiles, s.memoized(ctx, known.profiles, r, u, device))
		}
		known = memoUser{at, profiles}
		s.memo.keep(key, known)
	}
	wanted := make([]WantedProfile, len(known.profiles))
	for i, p := range known.profiles {
		wanted[i] = WantedProfile{Template: p.name, Identifier: templates.ProfileIdentifier(p.template, u.ID), Mail: true}
		if p.uuid != uuid.Nil {
			wanted[i].UUID = strings.ToUpper(p.uuid.String())
		}
	}
	return wanted, true, nil
}

// alike reports whether a template gives a user the same profile on every phone,
// whenever it is made.
func alike(spec templates.Spec) bool {
	return !spec.UsesDevice() && len(spec.Secrets()) == 0 && len(spec.SMIMEUsages()) == 0
}

// memoized renders a revision unless it was rendered for that user before. One
// that cannot be rendered has no UUID.
func (s *Service) memoized(ctx context.Context, known []memoProfile, r templates.Revision, u directory.User, device *mdm.DeviceFacts) memoProfile {
	for _, p := range known {
		if p.template == r.TemplateID && p.number == r.Number {
			return p
		}
	}
	options := s.RenderOptions()
	options.Device = device
	p := memoProfile{template: r.TemplateID, name: r.Name, number: r.Number}
	if id, err := uuid.Parse(s.mail(ctx, r, u, options).uuid); err == nil {
		p.uuid = id
	}
	return p
}
