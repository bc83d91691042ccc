package compliance_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	store := newShelf("e1", "e2", "e3")
	store.policies[0].Spec.Rules, store.policies[0].Spec.Grace = compliance.Rules{IdentityCertificate: true}, 0
	store.passcodeOff("e2")
	s, _ := newService(store)
	stricter := store.policies[0].Spec
	stricter.Rules.Passcode = true

	plan := func(spec compliance.Spec) compliance.Impact {
		t.Helper()
		found, err := s.Plan(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if found.Phones != 3 || len(found.Sample) != found.ShutOut+found.InGrace+found.LetIn {
			t.Errorf("got %+v", found)
		}
		return found
	}
	if found := plan(store.policies[0].Spec); len(found.Sample) != 0 {
		t.Errorf("what is in force already: %+v", found)
	}
	found := plan(stricter)
	want := compliance.Shift{EnrollmentID: "e2", User: good().expected.UPN, Before: compliance.Compliant, After: compliance.NotCompliant,
		Policy: fmt.Sprintf("%s@%d", stricter.Name, store.policies[0].Number+1), Open: "passcode failed"}
	if found.ShutOut != 1 || found.InGrace != 0 || found.LetIn != 0 || found.Sample[0] != want {
		t.Errorf("at once: got %+v, want %+v", found, want)
	}
	stricter.Grace = compliance.Duration(time.Hour)
	if found := plan(stricter); found.InGrace != 1 || found.ShutOut != 0 || !found.Sample[0].GraceUntil.Equal(now.Add(time.Hour)) {
		t.Errorf("with grace: got %+v", found)
	}
	if len(store.entries) != 0 || store.saved != 0 || len(store.verdicts) != 0 {
		t.Errorf("a plan wrote: %v, %d", store.entries, store.saved)
	}

	store.policies[0].Spec.Rules.Passcode = true
	store.revisions++
	milder := store.policies[0].Spec
	milder.Rules.Passcode = false
	if found := plan(milder); found.LetIn != 1 || found.ShutOut != 0 || found.Sample[0].EnrollmentID != "e2" {
		t.Errorf("milder: got %+v", found)
	}
	another := stricter
	another.Name, another.Assign.Everyone = "another", false
	if found := plan(another); len(found.Sample) != 0 {
		t.Errorf("assigned to nobody: %+v", found)
	}
	store.trouble = errors.New("disk")
	if _, err := s.Plan(t.Context(), milder); !errors.Is(err, store.trouble) {
		t.Errorf("got %v, want what the store said", err)
	}
}

// More phones than are read at once, and more that change than are named.
func TestPlanOfMany(t *testing.T) {
	t.Parallel()
	ids := make([]mdm.EnrollmentID, 1200)
	for i := range ids {
		ids[i] = mdm.EnrollmentID(fmt.Sprintf("e%04d", i))
	}
	store := newShelf(ids...)
	store.policies[0].Spec.Rules = compliance.Rules{IdentityCertificate: true}
	for _, id := range ids[600:] {
		store.passcodeOff(id)
	}
	s, _ := newService(store)
	spec := store.policies[0].Spec
	spec.Rules.Passcode, spec.Grace = true, 0
	found, err := s.Plan(t.Context(), spec)
	if err != nil || found.Phones != 1200 || found.ShutOut != 600 || len(found.Sample) != 50 || found.Sample[0].EnrollmentID != ids[600] {
		t.Errorf("got %d phones, %d shut out, %d named, %v", found.Phones, found.ShutOut, len(found.Sample), err)
	}
}
