package directory

import "testing"

func TestFold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "alice": "alice", `CORP\Alice`: `corp\alice`, "Ärzte": "ärzte", "alice\u212a": "alice\u212a", // the Kelvin sign is no k
		"\u0130x": "\u0130x", "ΣΑΣ": "σασ", "a.B@É": "a.b@é", "\xff": "\ufffd",
	} {
		if got := Fold(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
