package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/compliance"
)

func anyFindings(t *rapid.T) []compliance.Finding {
	word := rapid.OneOf(rapid.SampledFrom([]string{"", "passcode", "iOS 16.1; from", `"quoted"`, `back\slash`, "a<b>&c", "ü", "\u2028", "tab\t", "null"}), rapid.String())
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) compliance.Finding {
		return compliance.Finding{
			Rule: compliance.RuleName(word.Draw(t, "rule")), State: compliance.RuleState(word.Draw(t, "state")), Fact: word.Draw(t, "fact"), Expected: word.Draw(t, "expected"),
			Since: instant(rapid.Int64Range(0, 4e15).Draw(t, "since")), Fix: word.Draw(t, "fix"),
		}
	}), 0, 4).Draw(t, "findings")
}

// What is written and read is what encoding/json writes and reads.
func TestFindingsAreWhatJSONMakesOfThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := anyFindings(t)
		want, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		got, err := findingsText(list)
		if err != nil || got != string(want) {
			t.Fatalf("got %s, %v\nwant %s", got, err, want)
		}
		var read []compliance.Finding
		if err := json.Unmarshal(want, &read); err != nil {
			t.Fatal(err)
		}
		back, err := parseFindings(got)
		if err != nil || len(back) != len(read) || len(back) > 0 && !reflect.DeepEqual(back, read) {
			t.Fatalf("%s: got %+v, %v\nwant %+v", got, back, err, read)
		}
	})
	usual, _ := findingsText([]compliance.Finding{{Rule: "a", State: "b", Fact: `mail profile "mail" \ is installed`, Since: time.Unix(1, 0).UTC()}})
	if _, ok := usualFindings(usual); !ok {
		t.Errorf("%s is not read the short way", usual)
	}
}

func FuzzParseFindings(f *testing.F) {
	f.Add(`[{"rule":"a","state":"b","fact":"c","expected":"d","since":"2026-11-21T09:00:00.000001Z","fix":"e"},{"rule":"a","state":"b","fact":"c","since":"2026-11-21T09:00:00Z"}]`)
	f.Add(`[]`)
	f.Add(`[{"rule":"a"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := usualFindings(text)
		if !ok {
			return
		}
		var want []compliance.Finding
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%q was read, but JSON says %v", text, err)
		}
		for i := range want {
			want[i].Since = want[i].Since.UTC()
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
	})
}
