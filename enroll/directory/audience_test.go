package directory

import "testing"

// TestAudienceKeepsPeopleApart: whom the directory holds for two, an audience does,
// too. A name with a long s must not do for the one that has an s.
func TestAudienceKeepsPeopleApart(t *testing.T) {
	t.Parallel()
	admins := Audience{Users: []string{"breakglass@example.test"}, Groups: []string{"Keepers"}}
	for _, tt := range []struct {
		name string
		user User
		want bool
	}{
		{"in another case", User{UPN: "BreakGlass@Example.test"}, true},
		{"a group in another case", User{UPN: "x@example.test", Groups: []string{"keepers"}}, true},
		{"a long s", User{UPN: "breakgla\u017fs@example.test"}, false},
		{"a Kelvin sign", User{UPN: "brea\u212aglass@example.test"}, false},
		{"a group with a Kelvin sign", User{UPN: "x@example.test", Groups: []string{"\u212aeepers"}}, false},
		{"somebody else", User{UPN: "x@example.test"}, false},
	} {
		if got := admins.Includes(tt.user); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := normalGroups([]string{"keepers", "Keepers", "\u212aeepers"}); len(got) != 2 {
		t.Errorf("groups %q, want two", got)
	}
	twins := newSeen()
	if list := append(twins.doubles(User{UPN: "k@example.test"}, ""), twins.doubles(User{UPN: "\u212a@example.test"}, "")...); len(list) > 0 {
		t.Errorf("two people are held for one: %v", list)
	}
}
