package wire

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
)

type thing struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	Tags  []string `json:"tags"`
}

// What ReadJSON takes is one JSON value, and it says the same when written and
// read again; what it refuses is one of our refusals.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{`{"name":"a","count":1,"tags":["x"]}`, `{}`, ``, `null`, `{"name":7}`, `{"other":1}`, `{}{}`, `[`, "\x00", `{"name":"\ud800"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		var first, second thing
		err := ReadJSON(r, &first)
		if err != nil {
			if status := problem.Of(err).Status; status != 400 {
				t.Fatalf("status %d for %v", status, err)
			}
			return
		}
		if !json.Valid([]byte(body)) {
			t.Fatalf("%q was taken", body)
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &second); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRefusalsHideTheValue(t *testing.T) {
	for _, body := range []string{`{"count":"canary"}`, `{"name":canary}`, `{"name":"canary`, `canary`} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		var v thing
		err := ReadJSON(r, &v)
		if !errors.Is(err, problem.ErrMalformed) {
			t.Errorf("%s: %v", body, err)
			continue
		}
		out, marshalErr := json.Marshal(problem.Of(err))
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		if strings.Contains(string(out), "canary") {
			t.Errorf("%s: the value is told: %s", body, out)
		}
	}
}

// Who calls the API does not know Go.
func TestRefusalsSpeakOfJSON(t *testing.T) {
	t.Parallel()
	type inner struct {
		Text   string   `json:"text"`
		Count  *int64   `json:"count"`
		Share  float64  `json:"share"`
		Sure   bool     `json:"sure"`
		Data   []byte   `json:"data"`
		Names  []string `json:"names"`
		Person struct{} `json:"person"`
	}
	for body, want := range map[string]string{
		`{"text":5}`:    "text: wrong type: number (must be a string)",
		`{"count":"x"}`: "count: wrong type: string (must be a whole number)",
		`{"share":"x"}`: "share: wrong type: string (must be a number)",
		`{"sure":"x"}`:  "sure: wrong type: string (must be true or false)",
		`{"data":5}`:    "data: wrong type: number (must be a string in base64)",
		`{"names":5}`:   "names: wrong type: number (must be an array)",
		`{"person":5}`:  "person: wrong type: number (must be an object)",
		`[]`:            "wrong type: array (must be an object)",
		`{"data":"%%"}`: "a string is not base64 (see /api/v1/openapi.yaml for the fields that are)",
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		err := ReadJSON(r, &inner{})
		all := refusal.All(err)
		if len(all) != 1 || all[0].Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func TestTimeAndDuration(t *testing.T) {
	got, err := Time("t", "2026-11-21T09:00:00.1234567+01:00")
	if want := time.Date(2026, 11, 21, 8, 0, 0, 123456000, time.UTC); err != nil || !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("Time = %v, %v", got, err)
	}
	if got, err := Duration("ttl", "", time.Hour); err != nil || got != time.Hour {
		t.Errorf("empty duration = %v, %v", got, err)
	}
	for _, text := range []string{"-1h", "0s", "week", "1d"} {
		if _, err := Duration("ttl", text, 0); !errors.Is(err, problem.ErrMalformed) {
			t.Errorf("duration %q: %v", text, err)
		}
	}
}

func TestNextAndList(t *testing.T) {
	id := func(s string) string { return s }
	if Next([]string{"a", "b"}, 2, id) != "b" || Next([]string{"a"}, 2, id) != "" || Next(nil, 0, id) != "" {
		t.Error("Next")
	}
	out, err := json.Marshal(List[string](nil))
	if err != nil || string(out) != "[]" {
		t.Errorf("List(nil) = %s, %v", out, err)
	}
}
