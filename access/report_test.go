package access

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// listed is a Source of these people alone.
type listed struct {
	Source
	entries []Entry
	trouble error
}

func (s listed) Entries(_ context.Context, after directory.UserID, limit int) ([]Entry, error) {
	var page []Entry
	for _, e := range s.entries {
		if e.Person.ID > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, s.trouble
}

func (s listed) EntriesOf(_ context.Context, ids []directory.UserID) ([]Entry, error) {
	var found []Entry
	for _, e := range s.entries {
		if slices.Contains(ids, e.Person.ID) {
			found = append(found, e)
		}
	}
	return found, s.trouble
}

func TestReport(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	alice := Entry{Person: Person{ID: "u1", UPN: "alice@example.test"},
		Devices: []Device{
			{ID: "d1", Key: "applc39", Spellings: []string{"ApplC39"}, Type: "iPhone", FirstAt: at, LastAt: at, SyncAt: at, Effect: Allow, Step: StepConditionsPassed, SinceAt: at},
			{ID: "d2", Key: "b", Bound: "e3", Proof: ProofConfirmed, Model: "Pixel", OS: "Android 14"},
			{ID: "d3", Key: "c", Bound: "e4", Proof: ProofProbable},
		},
		Phones: []Phone{
			{EnrollmentID: "e1", State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: "iPhone15,4", OSVersion: "26.1", EASKey: "applc39",
				Verdict: compliance.Verdict{State: compliance.Compliant}},
			{EnrollmentID: "e4", State: mdm.Enrolled, EASKey: "waits"},
			{EnrollmentID: "e3", State: mdm.CheckedOut},
			{EnrollmentID: "e0", State: mdm.Replaced, EASKey: "applc39"},
			{EnrollmentID: "e5", State: mdm.Retired, EASKey: "gone"},
		}}
	blank := func(l ReportLine) ReportLine { // what the test leaves out nobody told
		v := reflect.ValueOf(&l).Elem()
		for i := range v.NumField() {
			if v.Field(i).String() == "" {
				v.Field(i).SetString(NotReported)
			}
		}
		return l
	}
	when := "2026-11-22T08:00:00Z"
	want := []ReportLine{
		blank(ReportLine{User: "alice@example.test", Ownership: "corporate", Platform: "apple", Model: "iPhone15,4", OS: "26.1", DeviceID: "ApplC39", DeviceType: "iPhone",
			Enrollment: "e1", State: "configured", Compliance: "compliant", Access: "allow", Step: "conditions_passed", Since: when, FirstAt: when, LastAt: when, SyncAt: when}),
		blank(ReportLine{User: "alice@example.test", DeviceID: "b", Model: "Pixel", OS: "Android 14", Enrollment: "e3", State: "checked_out"}),
		blank(ReportLine{User: "alice@example.test", DeviceID: "c"}), // a guess counts for nothing
		blank(ReportLine{User: "alice@example.test", DeviceID: "waits", Enrollment: "e4", State: "enrolled"}),
	}
	r := Reporter{Source: listed{entries: []Entry{alice, {Person: Person{ID: "u2"}}, {Person: Person{ID: "u3", UPN: "c@example.test"}, Devices: []Device{{Key: "k"}}}}}}
	lines, next, err := r.Lines(t.Context(), "", 2)
	if err != nil || next != "u2" {
		t.Fatalf("next %q, %v", next, err)
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	lines, next, err = r.Lines(t.Context(), next, 2)
	if err != nil || next != "" || len(lines) != 1 {
		t.Errorf("got %v, next %q, %v", lines, next, err)
	}

	rows, err := r.RowsOf(t.Context(), []directory.UserID{"u1", "nobody"})
	if err != nil || len(rows) != 4 || rows[0].Phone.EnrollmentID != "e1" || rows[2].Phone.EnrollmentID != "" || rows[3].Device.ID != "" {
		t.Errorf("rows of one: %+v, %v", rows, err)
	}

	names := reflect.TypeFor[ReportLine]()
	for i, cell := range want[0].Cells() {
		name, _, _ := strings.Cut(names.Field(i).Tag.Get("json"), ",")
		if name != ReportColumns[i] || cell != reflect.ValueOf(want[0]).Field(i).String() {
			t.Errorf("column %d is %s, of field %s", i, ReportColumns[i], name)
		}
	}
	if len(ReportColumns) != names.NumField() {
		t.Errorf("%d columns of %d fields", len(ReportColumns), names.NumField())
	}
	r.Source = listed{trouble: errors.New("gone")}
	if _, _, err := r.Lines(t.Context(), "", 2); err == nil {
		t.Error("trouble is lost")
	}
	if _, err := r.RowsOf(t.Context(), nil); err == nil {
		t.Error("trouble is lost")
	}
}
