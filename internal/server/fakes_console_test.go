package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// fleetFake has a person with the mail client and the phone that the other fakes
// know, and as many others with a phone each as its world says.
type fleetFake struct{ w *world }

func (f fleetFake) rows() []access.ReportRow {
	phone := access.Phone{EnrollmentID: "e1", State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: "iPhone15,4", OSVersion: "18.1",
		Verdict: compliance.Verdict{State: compliance.NotCompliant, Since: noon}}
	list := []access.ReportRow{{Person: access.Person{ID: "u1", UPN: alice.UPN}, Device: accessDevice.Device, Phone: phone}}
	for i := range f.w.crowd {
		list = append(list, access.ReportRow{Person: access.Person{ID: directory.UserID(fmt.Sprintf("u2-%06d", i)), UPN: fmt.Sprintf("person%06d@example.test", i)},
			Phone: access.Phone{EnrollmentID: "none", OSVersion: "17.0"}})
	}
	return list
}

func (f fleetFake) Rows(_ context.Context, after directory.UserID, limit int) ([]access.ReportRow, directory.UserID, error) {
	var page []access.ReportRow
	for _, row := range f.rows() {
		if row.Person.ID > after && len(page) < limit {
			page = append(page, row)
		}
	}
	if len(page) < limit {
		return page, "", f.w.did(false)
	}
	return page, page[len(page)-1].Person.ID, f.w.did(false)
}

func (f fleetFake) RowsOf(_ context.Context, ids []directory.UserID) ([]access.ReportRow, error) {
	return slices.DeleteFunc(f.rows(), func(row access.ReportRow) bool { return !slices.Contains(ids, row.Person.ID) }), f.w.did(false)
}

// signIn exchanges a token for the key of a session.
func signIn(t *testing.T, h http.Handler, token string) string {
	t.Helper()
	answer := do(t, h, "POST", "/console/session", "token="+token, "Content-Type", formType)
	if answer.Code != http.StatusSeeOther {
		t.Fatalf("sign-in: status %d\n%s", answer.Code, answer.Body)
	}
	for _, cookie := range answer.Result().Cookies() {
		if cookie.Name == "__Host-sallyport" {
			return cookie.Value
		}
	}
	t.Fatal("sign-in brought no cookie")
	return ""
}
