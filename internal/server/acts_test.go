package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

// Operators order what gives or tells; what takes something away is for admins.
// A refusal leaves a row and reaches nobody.
func TestWhoMayOrderWhichAct(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	open := map[mdm.ActionKind]bool{mdm.ActionLock: true, mdm.ActionResend: true, mdm.ActionQuery: true, mdm.ActionRename: true}
	refused := 0
	for _, role := range []auth.Role{auth.Admin, auth.Operator} {
		token := w.token(t, role, time.Hour).Text.Reveal()
		for _, kind := range mdm.ActionKinds() {
			for _, dry := range []bool{true, false} {
				body, err := json.Marshal(adminapi.ActionRequest{Kind: string(kind), DryRun: dry})
				if err != nil {
					t.Fatal(err)
				}
				before := w.writes
				got := do(t, h, "POST", "/api/v1/devices/"+deviceID+"/actions", string(body), "Authorization", "Bearer "+token, "Content-Type", jsonType)
				forbidden := role == auth.Operator && !open[kind]
				if forbidden {
					refused++
				}
				if (got.Code == 403) != forbidden || forbidden && (w.writes != before || !strings.Contains(got.Body.String(), `"field":"kind"`)) {
					t.Errorf("%s orders %s: status %d %s", role, kind, got.Code, got.Body)
				}
			}
		}
	}
	if rows := w.entries("action.order"); len(rows) != refused || rows[0].Detail["role"] != string(auth.Operator) || rows[0].Target != deviceID {
		t.Errorf("%d rows of refusals, want %d: %+v", len(rows), refused, rows)
	}
}

// a1 is a lock and a2 a wipe.
func TestWhoMayCancelWhichAct(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	for _, test := range []struct {
		role   auth.Role
		id     string
		status int
	}{{auth.Operator, "a1", 200}, {auth.Operator, "a2", 403}, {auth.Admin, "a2", 200}, {auth.Admin, "a3", 404}} {
		token := w.token(t, test.role, time.Hour).Text.Reveal()
		got := do(t, h, "DELETE", "/api/v1/devices/"+deviceID+"/actions/"+test.id, "", "Authorization", "Bearer "+token)
		if got.Code != test.status {
			t.Errorf("%s cancels %s: status %d %s", test.role, test.id, got.Code, got.Body)
		}
	}
}

// What an act holds that may be a secret is told to who may order such an act,
// and to nobody in a list.
func TestAnswersOfActs(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	for _, test := range []struct {
		role auth.Role
		path string
		told bool
	}{
		{auth.Admin, "/actions/a2", true}, {auth.Operator, "/actions/a2", false}, {auth.Auditor, "/actions/a2", false},
		{auth.Operator, "/actions/a1", true}, {auth.Auditor, "/actions/a1", false}, {auth.Admin, "/actions", false},
	} {
		token := w.token(t, test.role, time.Hour).Text.Reveal()
		got := do(t, h, "GET", "/api/v1/devices/"+deviceID+test.path, "", "Authorization", "Bearer "+token)
		if got.Code != 200 || strings.Contains(got.Body.String(), canary) != test.told {
			t.Errorf("%s reads %s: status %d %s", test.role, test.path, got.Code, got.Body)
		}
	}
}

// A refusal of the room keeps its field and its remedy; a dry run tells it in the plan.
func TestRefusedActs(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	for body, status := range map[string]int{`{"kind":"wipe","confirm":"x"}`: 409, `{"kind":"wipe","dry_run":true}`: 200, `{"kind":"rename"}`: 200} {
		got := do(t, h, "POST", "/api/v1/devices/"+deviceID+"/actions", body, "Authorization", "Bearer "+token, "Content-Type", jsonType)
		told := strings.Contains(got.Body.String(), "order retire")
		if got.Code != status || told != strings.Contains(body, "wipe") || strings.Contains(got.Body.String(), `"action":{`) {
			t.Errorf("%s: status %d %s", body, got.Code, got.Body)
		}
	}
}
