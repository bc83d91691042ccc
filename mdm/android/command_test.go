package android

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/mdm"
)

const (
	deviceD = "enterprises/E/devices/D"
	getD    = "GET /v1/" + deviceD
	issueD  = "POST /v1/" + deviceD + ":issueCommand"
	deleteD = "DELETE /v1/" + deviceD
)

func TestCommandsAsGoogleTakesThem(t *testing.T) {
	t.Parallel()
	target := Target{Name: deviceD, Ownership: mdm.Corporate}
	tests := []struct {
		name string
		cmd  Command
		want string // body; empty: refused
	}{
		{"lock", Command{Type: Lock}, `{"type":"LOCK"}`},
		{"lock, for a week", Command{Type: Lock, TTL: 7 * 24 * time.Hour}, `{"duration":"604800s","type":"LOCK"}`},
		{"reset the password", Command{Type: ResetPassword}, `{"type":"RESET_PASSWORD"}`},
		{"reboot", Command{Type: Reboot}, `{"type":"REBOOT"}`},
		{"give it up", Command{Type: RelinquishOwnership}, `{"type":"RELINQUISH_OWNERSHIP"}`},
		{"clear the mail app", Command{Type: ClearAppData, Packages: []string{"com.google.android.gm"}}, `{"clearAppsDataParams":{"packageNames":["com.google.android.gm"]},"type":"CLEAR_APP_DATA"}`},
		{"clear nothing", Command{Type: ClearAppData}, ""},
		{"clear what is no app", Command{Type: ClearAppData, Packages: []string{"*"}}, ""},
		{"lost", Command{Type: StartLostMode, Reason: "call us"}, `{"startLostModeParams":{"lostMessage":{"defaultMessage":"call us"}},"type":"START_LOST_MODE"}`},
		{"lost without a word", Command{Type: StartLostMode}, ""},
		{"found", Command{Type: StopLostMode}, `{"type":"STOP_LOST_MODE"}`},
		{"tell", Command{Type: RequestDeviceInfo}, `{"requestDeviceInfoParams":{"deviceInfo":"EID"},"type":"REQUEST_DEVICE_INFO"}`},
		{"wipe a company's", Command{Type: Wipe, Reason: strings.Repeat("ü", 300)}, `{"type":"WIPE","wipeParams":{"wipeReason":{"defaultMessage":"` + strings.Repeat("ü", 200) + `"}}}`},
		{"an eSIM", Command{Type: "ADD_ESIM"}, ""},
		{"nothing", Command{}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGoogle(t)
			g.answers(issueD, `{"name":"`+deviceD+`/operations/7"}`)
			operation, err := g.client().Issue(t.Context(), target, test.cmd)
			if test.want == "" {
				if !errors.Is(err, ErrCommand) || len(g.requests()) != 0 {
					t.Errorf("got %v after %v", err, g.requests())
				}
				return
			}
			if err != nil || operation != deviceD+"/operations/7" {
				t.Fatalf("got %q, %v", operation, err)
			}
			body := g.bodies[len(g.bodies)-1]
			if strings.TrimSpace(body) != test.want {
				t.Errorf("got %s, want %s", body, test.want)
			}
			checkAgainstDiscovery(t, "Command", []byte(body))
		})
	}
}

// TestNoPersonalPhoneLosesMore: whatever is ordered, in whatever order, of a
// phone that is not on record as the company's, and whatever Google says of it:
// a WIPE or a removal leaves us only where Google itself says that it will take
// the work profile of somebody's own phone and nothing else.
func TestNoPersonalPhoneLosesMore(t *testing.T) {
	t.Parallel()
	types := []CommandType{Lock, ResetPassword, Reboot, RelinquishOwnership, ClearAppData, StartLostMode, StopLostMode, RequestDeviceInfo, Wipe, "ADD_ESIM", ""}
	rapid.Check(t, func(r *rapid.T) {
		g := newGoogle(t)
		told := struct{ mode, owner string }{}
		g.does(getD, func(w http.ResponseWriter, _ url.Values, _ string) {
			fmt.Fprintf(w, `{"name":%q,"managementMode":%q,"ownership":%q}`, deviceD, told.mode, told.owner)
		})
		erased := func(what string) {
			if told.mode != "PROFILE_OWNER" || told.owner != "PERSONALLY_OWNED" {
				r.Errorf("%s of a phone that Google calls %q, %q", what, told.mode, told.owner)
			}
		}
		g.does(issueD, func(w http.ResponseWriter, _ url.Values, body string) {
			if strings.Contains(body, "WIPE") {
				erased("WIPE")
			}
			fmt.Fprint(w, `{"name":"o"}`)
		})
		g.does(deleteD, func(w http.ResponseWriter, q url.Values, _ string) {
			erased("removal")
			if len(q["wipeDataFlags"]) > 0 {
				r.Errorf("got flags %v", q)
			}
			fmt.Fprint(w, "{}")
		})
		c := g.client()
		for range rapid.IntRange(1, 6).Draw(r, "acts") {
			told.mode = rapid.SampledFrom([]string{"", "PROFILE_OWNER", "DEVICE_OWNER"}).Draw(r, "mode")
			told.owner = rapid.SampledFrom([]string{"", "PERSONALLY_OWNED", "COMPANY_OWNED", "OWNERSHIP_UNSPECIFIED"}).Draw(r, "owner")
			target := Target{Name: deviceD, Ownership: rapid.SampledFrom([]mdm.Ownership{"", mdm.Personal, "other"}).Draw(r, "ours")}
			if rapid.Bool().Draw(r, "remove") {
				err := c.Delete(t.Context(), target, "x")
				if mayGo := told.mode == "PROFILE_OWNER" && told.owner == "PERSONALLY_OWNED"; (err == nil) != mayGo || err != nil && !errors.Is(err, ErrForbidden) {
					r.Errorf("removal of %+v: got %v", told, err)
				}
				continue
			}
			cmd := Command{Type: rapid.SampledFrom(types).Draw(r, "type"), Packages: []string{"a.b"}, Reason: "x"}
			_, _ = c.Issue(t.Context(), target, cmd) // refused or not, the fake watches
		}
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.answers(deleteD, "{}")
	if err := g.client().Delete(t.Context(), Target{Name: deviceD, Ownership: mdm.Corporate}, "left"); err != nil {
		t.Error(err)
	}
	if slices.Contains(g.requests(), getD) {
		t.Error("a company's phone needs no question")
	}
	// One that is gone already is as it should be, by either way.
	g.refuses(getD, 404, "NOT_FOUND", "", "gone", nil)
	g.refuses(deleteD, 404, "NOT_FOUND", "", "gone", nil)
	for _, o := range []mdm.Ownership{mdm.Corporate, mdm.Personal} {
		if err := g.client().Delete(t.Context(), Target{Name: deviceD, Ownership: o}, ""); err != nil {
			t.Errorf("%s: got %v", o, err)
		}
	}
	// Trouble never deletes.
	g.refuses(getD, 503, "UNAVAILABLE", "", "later", nil)
	g.does(deleteD, func(http.ResponseWriter, url.Values, string) { t.Error("deleted without an answer") })
	err := g.client().Delete(t.Context(), Target{Name: deviceD, Ownership: mdm.Personal}, "")
	if p := asProblem(t, err); !p.Retry {
		t.Errorf("got %+v", p)
	}
}

func TestOperationIsAskedFor(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.answers("GET /v1/"+deviceD+"/operations/7", `{"name":"`+deviceD+`/operations/7","done":true,"response":{"type":"LOCK","createTime":"2026-11-22T09:00:00Z"}}`)
	o, err := g.client().Operation(t.Context(), deviceD+"/operations/7")
	if err != nil || !o.Done || o.Failed || o.At.IsZero() {
		t.Errorf("got %+v, %v", o, err)
	}
	g.answers(issueD, `{}`)
	_, err = g.client().Issue(t.Context(), Target{Name: deviceD}, Command{Type: Lock})
	if p := asProblem(t, err); !p.Retry {
		t.Errorf("an operation without a name: got %+v", p)
	}
}
