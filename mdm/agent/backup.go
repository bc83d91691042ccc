package agent

import (
	"cmp"
	"encoding/json"
	"fmt"
)

// Backup is what a computer or iCloud keeps of a phone. It holds keys.
type Backup struct{ data []byte }

type backup struct {
	State state             `json:"state"`
	Keys  map[string][]byte `json:"keys"`
}

// Backup copies the phone as it is now.
func (p *Phone) Backup() (*Backup, error) {
	end, err := p.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	b := backup{State: *p.s, Keys: map[string][]byte{}}
	for _, id := range p.s.Identities {
		if name := cmp.Or(id.Key, id.MailKey); name != "" {
			if b.Keys[name], err = p.disk.keyDER(name); err != nil {
				return nil, err
			}
		}
	}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return &Backup{data: data}, nil
}

// Restore puts a backup back on the phone that it was made of: everything is as
// it was then, the management too, but the push token is new, which the phone
// tells first thing at the next Connect. The ledger and the script go on. On
// another phone a backup brings no management: ErrInvalid here.
func (p *Phone) Restore(from *Backup) error {
	return p.change(func(s *state) error {
		var b backup
		if err := json.Unmarshal(from.data, &b); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if b.State.Facts.UDID != s.Facts.UDID || b.State.Facts.Serial != s.Facts.Serial {
			return fmt.Errorf("%w: the backup is of another phone", ErrInvalid)
		}
		for name, der := range b.Keys {
			if err := p.disk.putKey(name, der); err != nil {
				return err
			}
		}
		old := *s
		*s = b.State
		s.Ledger, s.Script, s.Erasures, s.Trusted, s.Counts = old.Ledger, old.Script, old.Erasures, old.Trusted, old.Counts
		s.Held, s.Answer, s.Ending = nil, nil, ""
		if s.Stage != StageEnrolled || s.Android != nil { // an Android phone has no push token of its own
			return nil
		}
		return s.newToken()
	})
}
