package templates

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
)

// memory keeps revisions as the contract of Store demands, as far as this room needs it.
type memory struct {
	revisions []Revision
	secrets   []Secret
	policies  []SecurityRevision
	users     []directory.User
	entries   []audit.Entry
	fail      error
}

var _ Store = (*memory)(nil)

func (m *memory) SaveRevision(ctx context.Context, r Revision, expected int, e audit.Entry) (Revision, bool, error) {
	if m.fail != nil {
		return Revision{}, false, m.fail
	}
	newest, err := m.CurrentRevision(ctx, r.Name)
	switch {
	case err == nil && newest.Source == r.Source:
		return newest, false, nil
	case expected != AnyRevision && expected != newest.Number:
		return Revision{}, false, ConflictOf(r.Name, newest.Number, expected)
	}
	r.TemplateID, r.Number = templateID, newest.Number+1
	m.revisions, m.entries = append(m.revisions, r), append(m.entries, e)
	return r, true, nil
}

func (m *memory) CurrentRevisions(context.Context) ([]Revision, error) {
	newest := map[string]Revision{}
	for _, r := range m.revisions {
		newest[r.Name] = r
	}
	var list []Revision
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		list = append(list, newest[name])
	}
	return list, m.fail
}

func (m *memory) CurrentRevision(ctx context.Context, name string) (Revision, error) {
	list, err := m.Revisions(ctx, name)
	if err != nil {
		return Revision{}, err
	}
	return list[0], nil
}

func (m *memory) Revisions(_ context.Context, name string) ([]Revision, error) {
	var list []Revision
	for _, r := range slices.Backward(m.revisions) {
		if r.Name == name {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return list, nil
}

func (m *memory) Revision(ctx context.Context, name string, number int) (Revision, error) {
	list, err := m.Revisions(ctx, name)
	i := slices.IndexFunc(list, func(r Revision) bool { return r.Number == number })
	if err != nil || i < 0 {
		return Revision{}, ErrNotFound
	}
	return list[i], nil
}

func TestServiceApply(t *testing.T) {
	m := &memory{}
	s := &Service{Store: m, Now: func() time.Time { return time.Date(2026, 11, 21, 8, 0, 0, 999, time.Local) }}
	ctx := audit.WithActor(t.Context(), "ops")
	r, changed, err := s.Apply(ctx, []byte(everyVariable))
	if err != nil || !changed || r.Number != 1 || r.CreatedBy != "ops" || r.CreatedAt.Nanosecond() != 0 || r.CreatedAt.Location() != time.UTC {
		t.Fatalf("got %+v, %v, %v", r, changed, err)
	}
	if e := m.entries[0]; e.Action != "template.apply" || e.Target != "mail" || e.Actor != "ops" {
		t.Errorf("got entry %+v", e)
	}
	if _, changed, err := s.Apply(ctx, []byte(everyVariable)); err != nil || changed {
		t.Errorf("the same source again: got changed %v, %v", changed, err)
	}
	if _, _, err := s.Apply(ctx, []byte("name: x")); !errors.Is(err, ErrInvalid) || len(m.revisions) != 1 {
		t.Errorf("got %v and %d revisions, want it refused and nothing written", err, len(m.revisions))
	}
	if list, err := s.List(ctx); err != nil || len(list) != 1 {
		t.Errorf("List: got %d, %v", len(list), err)
	}
	if _, err := s.Get(ctx, "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get: got %v, want ErrNotFound", err)
	}
	m.fail = errors.New("disk full")
	if _, _, err := s.Apply(ctx, []byte(everyVariable)); !errors.Is(err, m.fail) || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestForUser(t *testing.T) {
	assigned := func(name string, a directory.Audience) Revision {
		return Revision{Name: name, Spec: Spec{Assign: a}}
	}
	revisions := []Revision{
		assigned("z", directory.Audience{Everyone: true}),
		assigned("a", directory.Audience{Groups: []string{"SALES"}}),
		assigned("b", directory.Audience{Groups: []string{"board"}}),
		assigned("c", directory.Audience{}),
		assigned("d", directory.Audience{Users: []string{"Alice@Example.test"}}),
	}
	var got string
	for _, r := range ForUser(revisions, alice()) {
		got += r.Name
	}
	if got != "adz" {
		t.Errorf("got %s, want adz", got)
	}
}
