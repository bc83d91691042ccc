package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"sallyport/internal/refusal"
)

// Audience says whom something is assigned to. In YAML and JSON it is the word
// `everyone`, or a mapping with groups and users (by UPN). The zero Audience is
// nobody.
type Audience struct {
	Everyone bool
	Groups   []string
	Users    []string
}

type audienceForm struct {
	Groups []string `yaml:"groups,omitempty" json:"groups,omitempty"`
	Users  []string `yaml:"users,omitempty" json:"users,omitempty"`
}

const everyone = "everyone"

// Includes reports whether u is meant. Groups and UPNs compare as by Same.
func (a Audience) Includes(u User) bool {
	if a.Everyone {
		return true
	}
	for _, upn := range a.Users {
		if Same(upn, u.UPN) {
			return true
		}
	}
	for _, group := range a.Groups {
		if slices.ContainsFunc(u.Groups, func(g string) bool { return Same(g, group) }) {
			return true
		}
	}
	return false
}

// Nobody reports whether the audience is empty.
func (a Audience) Nobody() bool { return !a.Everyone && len(a.Groups) == 0 && len(a.Users) == 0 }

// maxAudience and maxMember bound what one audience names.
const (
	maxAudience = 1000
	maxMember   = 320 // bytes of a group's or user's name
)

// Told is the audience that a document names under assign, or a refusal where it says
// nothing: that is an oversight, while "assign: {}" takes something away from everybody.
func (a *Audience) Told(sentinel error) (Audience, *refusal.Error) {
	if a == nil {
		return Audience{}, refusal.New(sentinel, "assign", "is missing", "write assign: everyone, or name groups and users; assign: {} withdraws the policy")
	}
	return *a, nil
}

// Faults refuses names that can be nobody's, on behalf of sentinel.
func (a Audience) Faults(sentinel error, field string) refusal.List {
	var faults refusal.List
	if n := len(a.Groups) + len(a.Users); n > maxAudience {
		faults.Add(refusal.New(sentinel, field, fmt.Sprintf("names %d groups and users", n), fmt.Sprintf("use at most %d, for example one group", maxAudience)))
		return faults
	}
	faults.Add(MemberFaults(sentinel, field+".groups", a.Groups)...)
	faults.Add(MemberFaults(sentinel, field+".users", a.Users)...)
	return faults
}

// MemberFaults is Faults for a plain list of groups or users.
func MemberFaults(sentinel error, field string, names []string) refusal.List {
	var faults refusal.List
	for i, name := range names {
		place := fmt.Sprintf("%s[%d]", field, i)
		if name == "" {
			faults.Add(refusal.New(sentinel, place, "is empty", "remove it"))
		}
		faults.Add(refusal.Line(sentinel, place, name, maxMember))
	}
	return faults
}

// MarshalJSON writes "everyone" or {"groups": [...], "users": [...]}.
func (a Audience) MarshalJSON() ([]byte, error) {
	if a.Everyone {
		return json.Marshal(everyone)
	}
	return json.Marshal(audienceForm{Groups: a.Groups, Users: a.Users})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Audience) UnmarshalJSON(data []byte) error {
	var word string
	if json.Unmarshal(data, &word) == nil {
		return a.fromWord(word)
	}
	var form audienceForm
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	*a = Audience{Groups: form.Groups, Users: form.Users}
	return nil
}

// MarshalYAML writes the same two forms.
func (a Audience) MarshalYAML() (any, error) {
	if a.Everyone {
		return everyone, nil
	}
	return audienceForm{Groups: a.Groups, Users: a.Users}, nil
}

// UnmarshalYAML reads the same two forms; an unknown key is an error with its line.
func (a *Audience) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return a.fromWord(node.Value)
	}
	if node.Kind != yaml.MappingNode {
		return errors.New("assign is the word everyone, or a mapping with groups and users")
	}
	for i := 0; i < len(node.Content); i += 2 {
		if key := node.Content[i]; key.Value != "groups" && key.Value != "users" {
			return fmt.Errorf("line %d, column %d: unknown key %q in assign: use groups or users", key.Line, key.Column, key.Value)
		}
	}
	var form audienceForm
	if err := node.Decode(&form); err != nil {
		return err
	}
	*a = Audience{Groups: form.Groups, Users: form.Users}
	return nil
}

func (a *Audience) fromWord(word string) error {
	if word != everyone {
		return fmt.Errorf("assign is the word everyone, or a mapping with groups and users; not %q", word)
	}
	*a = Audience{Everyone: true}
	return nil
}
