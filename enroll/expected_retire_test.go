package enroll

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/templates"
)

// A policy retires as an admin does: once, never a wipe, and with a second owner's
// consent where that is asked for.
func TestRetireFor(t *testing.T) {
	t.Parallel()
	for _, second := range []bool{false, true} {
		h, p := configured(t)
		h.enroll.SecondOwner = second
		e := p.enrollment(t)
		ctx := audit.WithActor(t.Context(), "policy")
		for range 2 {
			if err := h.enroll.RetireFor(ctx, e.ID, "standard@1"); err != nil {
				t.Fatal(err)
			}
		}
		want := mdm.ActionPending
		if second {
			want = mdm.ActionUnapproved
		}
		if len(h.acts) != 1 || h.acts[0].Kind != mdm.ActionRetire || h.acts[0].State != want || h.acts[0].RequestedBy != "policy" {
			t.Errorf("second owner %t: acts %+v", second, h.acts)
		}
		if err := h.enroll.RetireFor(ctx, "unknown", "standard@1"); err != nil {
			t.Errorf("of an unknown enrolment: %v", err)
		}
	}
}

// The many at once are what the one is.
func TestSubjectsAreWhatIsExpected(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	e := p.enrollment(t)
	subjects, err := h.enroll.Subjects(t.Context(), "", 10)
	if err != nil || len(subjects) != 1 {
		t.Fatalf("%d subjects, %v", len(subjects), err)
	}
	expected, _, err := h.enroll.Expected(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, subjects[0].Expected); diff != "" {
		t.Errorf("(-one +many):\n%s", diff)
	}
	if len(expected.Mail) != 1 || expected.Mail[0].UUID == "" {
		t.Errorf("mail %+v", expected.Mail)
	}
}

// What is remembered of a user's profiles is what would be made again.
func TestMailProfilesAreRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	profiles := func(at Catalog, u directory.User) string {
		t.Helper()
		list, alike, err := h.enroll.mailProfiles(t.Context(), at, u, nil)
		if err != nil || !alike || len(list) != 1 {
			t.Fatalf("got %+v, %t, %v", list, alike, err)
		}
		return list[0].UUID
	}
	assigned, err := h.enroll.assigned(t.Context(), Catalog{}, h.alice, nil, mdm.WithholdNothing, h.enroll.knownKeys)
	if err != nil {
		t.Fatal(err)
	}
	first := profiles(Catalog{Templates: 1}, h.alice)
	if first != assigned[0].uuid || profiles(Catalog{Templates: 1}, h.alice) != first {
		t.Errorf("got %s, want %s", first, assigned[0].uuid)
	}
	changed := h.alice
	changed.DisplayName = "Alice B."
	changed.Email = "alice.b@example.test"
	if profiles(Catalog{Templates: 1}, changed) == first {
		t.Error("another state of the user has the same profile")
	}
	// A revision that says the same is not rendered again; another one is.
	if profiles(Catalog{Templates: 2}, h.alice) != first {
		t.Error("another state of the catalog changed the profile")
	}
	r := mailTemplate("%email%")
	r.Number, r.Spec.Accounts[0].Host = 2, "other.example.test"
	h.revisions = []templates.Revision{r}
	if profiles(Catalog{Templates: 3}, h.alice) == first {
		t.Error("another revision has the same profile")
	}
	r.Spec.DisplayName = "Mail on %device_name%"
	r.Spec.Accounts[0].Name = "%serial%"
	r.Number = 3
	h.revisions = []templates.Revision{r}
	if _, alike, err := h.enroll.mailProfiles(t.Context(), Catalog{Templates: 4}, h.alice, nil); err != nil || alike == r.Spec.UsesDevice() {
		t.Errorf("a template that names the phone: alike %t, %v", alike, err)
	}
}

func TestUnmailed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.revisions[0].Spec.Assign = directory.Audience{Groups: []string{"sales"}}
	for _, tt := range []struct {
		a     directory.Audience
		limit int
		want  []string
		total int
	}{
		{directory.Audience{Everyone: true}, 10, []string{"bob@example.test"}, 1},
		{directory.Audience{Everyone: true}, 0, nil, 1},
		{directory.Audience{Groups: []string{"sales"}}, 10, nil, 0},
	} {
		got, total, err := h.enroll.Unmailed(t.Context(), tt.a, tt.limit)
		if err != nil || total != tt.total || !cmp.Equal(got, tt.want) {
			t.Errorf("got %v of %d, %v", got, total, err)
		}
	}
}
