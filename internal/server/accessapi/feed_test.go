package accessapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// rows is the storage of the feed, in memory.
type rows struct {
	access.ChangeStore
	mu    sync.Mutex
	all   []access.Change
	gone  int64
	err   error
	reads int
}

func deviceID(n int) access.DeviceID {
	return access.DeviceID(fmt.Sprintf("01990000-0000-7000-8000-%012d", n))
}

// say appends a row.
func (r *rows) say(n int, e access.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, access.Change{Seq: int64(len(r.all) + 1), DeviceID: deviceID(n), User: "alice@example.test", Removed: e == "",
		Decision: access.Decision{Effect: e, Step: access.StepDefault, Reasons: []access.Reason{}, ValidUntil: noon.Add(time.Second)}})
}

func (r *rows) fails(err error) { r.mu.Lock(); defer r.mu.Unlock(); r.err = err }

func (r *rows) Changes(_ context.Context, after int64, limit int) ([]access.Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if after < r.gone {
		return nil, access.ErrGone
	}
	list := r.all[min(int(after), len(r.all)):]
	return slices.Clone(list[:min(limit, len(list))]), r.err
}

func (r *rows) Snapshot(_ context.Context, after access.DeviceID, limit int) ([]access.Change, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := map[access.DeviceID]access.Change{}
	for _, c := range r.all {
		newest[c.DeviceID] = c
	}
	var list []access.Change
	for n := range 2000 {
		if c, ok := newest[deviceID(n)]; ok && c.DeviceID > after && len(list) < limit {
			list = append(list, c)
		}
	}
	return list, int64(len(r.all)), r.err
}

func feedOf(r *rows) (*API, *access.Feed) {
	f := &access.Feed{Store: r, Until: func(*access.Change) time.Time { return noon.Add(5 * time.Minute) }}
	return New(Deps{Feed: f}), f
}

func page(t *testing.T, a *API, query string) (Changes, error) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := a.ListChanges(w, httptest.NewRequest("GET", "/api/v1/compliance?"+query, nil)); err != nil {
		return Changes{}, err
	}
	var out Changes
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out, nil
}

// Whoever reads to the end, whenever rows come, knows the newest word on each device.
func TestFeedTellsTheNewestWord(t *testing.T) {
	t.Parallel()
	store := &rows{}
	a, feed := feedOf(store)
	for n := range 7 {
		store.say(n, access.Allow)
	}
	store.say(3, "") // gone
	known, at, extra := map[access.DeviceID]access.Effect{}, "", 0
	for range 30 {
		out, err := page(t, a, "limit=2&cursor="+at)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out.Changes {
			known[c.DeviceID] = c.Decision.Effect
			if c.Removed {
				delete(known, c.DeviceID)
			}
			if !c.Removed && !c.Decision.ValidUntil.Equal(noon.Add(300*time.Second)) {
				t.Errorf("row %d holds until %s", c.Seq, c.Decision.ValidUntil)
			}
		}
		at = out.Cursor
		if extra < 5 { // between any two pages
			store.say(extra, access.Block)
			extra++
			if _, err := feed.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else if !out.More {
			break
		}
	}
	want := map[access.DeviceID]access.Effect{}
	for n := range 7 {
		want[deviceID(n)] = access.Block
		if n >= 5 {
			want[deviceID(n)] = access.Allow
		}
	}
	if fmt.Sprint(known) != fmt.Sprint(want) {
		t.Errorf("known %v, want %v", known, want)
	}
	out, err := page(t, a, "cursor="+at)
	if err != nil || out.More || len(out.Changes) != 0 || out.Cursor != at {
		t.Errorf("at the end: %+v, %v", out, err)
	}
}

func TestFeedRefusesCursors(t *testing.T) {
	t.Parallel()
	store := &rows{gone: 5}
	a, _ := feedOf(store)
	if _, err := page(t, a, "cursor=c4"); !errors.Is(err, access.ErrGone) || refusal.All(err)[0].Remedy == "" {
		t.Errorf("too old: %v", err)
	}
	for _, text := range []string{"4", "c", "c-1", "c01", "c1 ", "s1", "s1.", "s1.x", "c1." + string(deviceID(1)), "s.", "s-1." + string(deviceID(1)), "s1." + strings.ToUpper("0199000a-0000-7000-8000-000000000001")} {
		if c, err := cursorOf(text); err == nil {
			t.Errorf("%q was taken for %+v", text, c)
		}
	}
}

// A cursor that is taken is one that String writes.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"c0", "c12", "s3." + string(deviceID(1)), "", "c", "s", "s1.x", "c99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := cursorOf(text); err == nil && (c.String() != text || c.seq < 0) {
			t.Errorf("%q is %+v", text, c)
		}
	})
}

// deciding is an engine that allows the device "good" alone.
type deciding struct{ Engine }

func (deciding) Decide(_ context.Context, c access.Client) (access.Decision, error) {
	if err := c.Validate(); err != nil {
		return access.Decision{}, err
	}
	if c.DeviceID == "good" {
		return access.Decision{Effect: access.Allow}, nil
	}
	return access.Decision{Effect: access.Block}, nil
}

func (d deciding) DecideMany(ctx context.Context, clients []access.Client) ([]access.Decision, error) {
	list := make([]access.Decision, len(clients))
	for i, c := range clients {
		list[i], _ = d.Decide(ctx, c)
	}
	return list, nil
}

func (deciding) Named(context.Context, string) ([]directory.UserID, error) { return nil, nil }

func (deciding) Certified(context.Context, string, string) (bool, error) { return false, nil }

func TestManyDecisionsAtOnce(t *testing.T) {
	t.Parallel()
	a := New(Deps{Engine: deciding{}})
	ask := func(body string) (string, error) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		err := a.Decide(w, r)
		return w.Body.String(), err
	}
	many := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = `{"user":"a","device_id":"` + []string{"good", "bad"}[i%2] + `"}`
		}
		return `{"requests":[` + strings.Join(list, ",") + `]}`
	}
	text, err := ask(many(MaxBatch))
	var out Decisions
	if err != nil || json.Unmarshal([]byte(text), &out) != nil || len(out.Decisions) != MaxBatch {
		t.Fatalf("%d decisions, %v", len(out.Decisions), err)
	}
	for i, d := range out.Decisions {
		if want := []access.Effect{access.Allow, access.Block}[i%2]; d.Effect != want || d.Reasons == nil {
			t.Fatalf("decision %d is %+v", i, d)
		}
	}
	for body, want := range map[string]string{
		many(MaxBatch + 1): "requests: holds 1001 requests", `{"requests":[]}`: "requests: holds 0 requests",
		`{"requests":[{"user":"a","device_id":"good"},{"user":"a"}]}`: "requests[1].device_id: is empty",
		`{"user":"a","device_id":"good","requests":[]}`:               "requests: stands beside",
		`{"user":"a"}`:                             "device_id: is empty",
		`{"user":"a","device_id":"x","other":1}`:   "other: unknown field",
		`{"requests":[{"user":"a","password":1}]}`: "password: unknown field",
	} {
		text, err := ask(body)
		if all := refusal.All(err); len(all) == 0 || !strings.HasPrefix(all[0].Error(), want) || text != "" {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
	if _, err := ask(`{"requests":null,"user":"a","device_id":"good"}`); err != nil {
		t.Errorf("null requests are none: %v", err)
	}
}
