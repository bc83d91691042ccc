package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/auth"
)

// reportFake has two pages of devices, and a third that fails where an answer is to be torn.
type reportFake struct{ w *world }

func (f reportFake) Lines(_ context.Context, after directory.UserID, limit int) ([]access.ReportLine, directory.UserID, error) {
	if after == "u2" {
		return nil, "", errors.New("the database went away")
	}
	line := access.ReportLine{User: alice.UPN, Model: "=cmd", Connector: access.NotReported}
	if after == "u1" && f.w.torn {
		return []access.ReportLine{line}, "u2", f.w.did(false)
	}
	if after == "u1" {
		return []access.ReportLine{line}, "", f.w.did(false)
	}
	if limit < 1000 { // a page of JSON, and no next
		return []access.ReportLine{line}, "", f.w.did(false)
	}
	return []access.ReportLine{line}, "u1", f.w.did(false)
}

func (f reportFake) Deployments(context.Context) ([]enroll.Deployment, error) {
	return []enroll.Deployment{{Template: "mail", Revision: 3, Phones: 10, Installed: 5, Older: 2, Pending: 1, Waiting: 4, Refused: 1, Unmade: 1}}, f.w.did(false)
}

func (f reportFake) Mailbox(_ context.Context, upn string) (enroll.Mailbox, error) {
	if upn != alice.UPN {
		return enroll.Mailbox{}, directory.ErrNotFound
	}
	return enroll.Mailbox{User: alice, Used: 8, Limit: 10, Spare: &enroll.MailClient{ID: "m1", DeviceID: "OLD", Model: "iPad13,1", LastAt: time.Unix(0, 0)}}, f.w.did(false)
}

func (f reportFake) FullMailboxes(_ context.Context, after directory.UserID, limit int) ([]enroll.Mailbox, directory.UserID, error) {
	m, err := f.Mailbox(context.Background(), alice.UPN)
	if after == "" {
		return []enroll.Mailbox{m}, "u1", err
	}
	return []enroll.Mailbox{{User: alice, Used: 12, Limit: 12, Spare: &enroll.MailClient{Device: "d1", Enrollment: "e1"}}, {User: alice, Used: limit}}, "", err
}

func TestReportsAsCSV(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Auditor, time.Hour).Text.Reveal()
	get := func(path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		handlers.Public.ServeHTTP(answer, example{path: "/api/v1/reports/" + path}.request("GET", token))
		return answer
	}
	answer := get("deployment?format=csv")
	if answer.Code != 200 || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/csv") ||
		answer.Body.String() != "template,revision,phones,installed,older,pending,waiting,refused,unmade\nmail,3,10,5,2,1,4,1,1\n" {
		t.Errorf("got %d, %q", answer.Code, answer.Body)
	}
	for _, path := range []string{"deployment?format=xml", "devices?format=CSV", "devices?format=csv&limit=1", "devices?format=csv&after=u1", "devices?page=2", "mailboxes?format=csv&limit=1", "mailboxes?format=xls"} {
		if answer := get(path); answer.Code != 400 {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
	answer = get("mailboxes?format=csv")
	if want := "user,used,limit,state,spare_id,spare_device_id,spare_model,spare_last_seen,spare_phone\n" +
		"alice@example.test,8,10,near,m1,OLD,\"iPad13,1\",1970-01-01T00:00:00Z,\nalice@example.test,12,12,full,,,,,d1\nalice@example.test,1000,0,unlimited,,,,,\n"; answer.Body.String() != want {
		t.Errorf("got %q", answer.Body)
	}
	answer = get("devices?format=csv")
	if lines := strings.Split(answer.Body.String(), "\n"); len(lines) != 4 || lines[0] != strings.Join(access.ReportColumns, ",") || !strings.Contains(lines[1], ",'=cmd,") {
		t.Errorf("got %q", answer.Body)
	}
	// Half a report does not look like a whole one.
	w.torn = true
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("a torn report comes to a clean end")
		}
	}()
	get("devices?format=csv")
}
