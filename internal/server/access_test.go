package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// What the contract cannot say: a rehearsal changes nothing, and what does not go
// together is refused by name.
func TestAccessAdmin(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string // part of the answer
		writes                   int
	}{
		{"rule, rehearsed", "POST", "rules?dry_run=true", `{"effect":"block","family":"a","reason":"r"}`, 200, `"shut_out":1`, 0},
		{"rule", "POST", "rules", `{"effect":"block","family":"a","reason":"r"}`, 200, `"offer":"quarantine"`, 1},
		{"rule like a device", "POST", "rules?dry_run=true", `{"effect":"block","device_id":"d1","by":"model","reason":"r"}`, 200, `"family":"like model"`, 0},
		{"rule like a device, and more", "POST", "rules", `{"effect":"block","device_id":"d1","by":"model","family":"a","reason":"r"}`, 400, `"device_id"`, 0},
		{"rule of nothing", "POST", "rules", `{"effect":"open"}`, 400, `"effect"`, 0},
		{"rehearsal in other words", "POST", "rules?dry_run=yes", `{}`, 400, `"dry_run"`, 0},
		{"removal, rehearsed", "DELETE", "rules/r1?dry_run=true", "", 200, `"matched":2`, 0},
		{"removal of another", "DELETE", "rules/r9?reason=r", "", 404, "", 0},
		{"default, rehearsed", "PUT", "default?dry_run=true", `{"default":"block","reason":"r"}`, 200, `"strategy":"allow-list"`, 0},
		{"default", "PUT", "default", `{"strategy":"block-list","reason":"r"}`, 200, `"default":"allow"`, 1},
		{"default and strategy", "PUT", "default", `{"strategy":"mixed","default":"block","reason":"r"}`, 400, `"default"`, 0},
		{"strategy", "PUT", "default", `{"strategy":"open","reason":"r"}`, 400, `"strategy"`, 0},
		{"policy, rehearsed", "POST", "policies?dry_run=true", "name: a", 200, `"impact"`, 0},
		{"policy", "POST", "policies", "name: a", 200, `"break_glass"`, 1},
		{"another policy", "GET", "policies/none", "", 404, "", 0},
		{"devices of another decision", "GET", "devices?decision=open", "", 400, `"decision"`, 0},
		{"devices of nobody", "GET", "devices?user=eve@example.test", "", 404, `eve@example.test`, 0},
		{"approval, rehearsed", "POST", "devices/approve?dry_run=true", `{"devices":["d1"],"reason":"r"}`, 200, `"after"`, 0},
		{"approval", "POST", "devices/approve", `{"devices":["d1"],"reason":"r"}`, 200, `"after"`, 1},
		{"word, rehearsed", "POST", "words?dry_run=true", `{"kind":"block","devices":["d1"],"reason":"r"}`, 200, `"after"`, 0},
		{"word taken back, rehearsed", "POST", "words/take-back?dry_run=true", `{"kind":"block","devices":["d1"],"reason":"r"}`, 200, `"after"`, 0},
		{"word taken back", "POST", "words/take-back", `{"kind":"block","devices":["d1"],"reason":"r"}`, 204, "", 1},
		{"mail of nobody", "PUT", "../users/eve@example.test/mail", `{"on":true,"reason":"r"}`, 404, `eve@example.test`, 0},
		{"mail neither on nor off", "PUT", "../users/alice@example.test/mail", `{"reason":"r"}`, 400, `"on"`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			handlers, err := New(w.config())
			if err != nil {
				t.Fatal(err)
			}
			e := example{path: strings.Replace("/api/v1/access/"+tt.path, "access/../", "", 1), body: tt.body, contentType: jsonType}
			if strings.HasPrefix(tt.path, "policies") && tt.method == "POST" {
				e.contentType = yamlType
			}
			recorder := httptest.NewRecorder()
			handlers.Public.ServeHTTP(recorder, e.request(tt.method, w.token(t, auth.Admin, time.Hour).Text.Reveal()))
			if recorder.Code != tt.status || !strings.Contains(recorder.Body.String(), tt.want) || w.writes != tt.writes {
				t.Errorf("status %d, %d writes: %s; want %d, %d and %s", recorder.Code, w.writes, recorder.Body, tt.status, tt.writes, tt.want)
			}
			if tt.status == http.StatusOK && recorder.Header().Get("Content-Type") != jsonType {
				t.Errorf("type %q", recorder.Header().Get("Content-Type"))
			}
		})
	}
}
