package compliance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// MinimumOS says which versions are too old: one for every phone, or a list by
// platform and model. In YAML and JSON the first is plain text. Of the demands
// that fit a phone those with the narrowest selection count, so that a list may
// name old models which get no newer system; of several with the same selection
// the highest that is in force.
type MinimumOS []Demand

// Demand is the least version for the phones it selects.
type Demand struct {
	Platform mdm.Platform `json:"platform,omitempty"` // empty: every platform
	Model    string       `json:"model,omitempty"`    // with * and ?, as in "iPhone1*": Apple's ProductName, or the model's name; empty: every model
	Version  string       `json:"version"`
	From     Day          `json:"from,omitempty"` // the first day (UTC) on which it counts; empty: always

	group int // the policy that it came from, where several were combined
}

// AtLeast is the plain form: one version for every phone.
func AtLeast(version string) MinimumOS { return MinimumOS{{Version: version}} }

// Day is a date as ISO 8601 has it: "2027-01-01".
type Day string

func (d Day) begins() time.Time {
	t, _ := time.Parse(time.DateOnly, string(d)) // Validate has seen to it
	return t
}

const (
	maxDemands = 200
	maxModel   = 64 // bytes
)

func (m MinimumOS) plain() (string, bool) {
	if len(m) == 1 && m[0] == (Demand{Version: m[0].Version}) {
		return m[0].Version, true
	}
	return "", false
}

// MarshalJSON writes the plain form where it says the same.
func (m MinimumOS) MarshalJSON() ([]byte, error) {
	if version, ok := m.plain(); ok {
		return json.Marshal(version)
	}
	return json.Marshal([]Demand(m))
}

// UnmarshalJSON reads both forms.
func (m *MinimumOS) UnmarshalJSON(data []byte) error {
	var version string
	if json.Unmarshal(data, &version) == nil {
		*m = AtLeast(version)
		return nil
	}
	return json.Unmarshal(data, (*[]Demand)(m))
}

// UnmarshalYAML reads both forms. Values are taken as they stand: 17.10 is not
// a number that loses its zero.
func (m *MinimumOS) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*m = AtLeast(node.Value)
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return errors.New(`is neither a version such as "17.0" nor a list with platform, model, version and from`)
	}
	*m = make(MinimumOS, len(node.Content))
	for i, item := range node.Content {
		if err := (*m)[i].read(item); err != nil {
			return err
		}
	}
	return nil
}

func (d *Demand) read(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d, column %d: must be a mapping of platform, model, version and from", node.Line, node.Column)
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d, column %d: %s must be one plain value", value.Line, value.Column, key.Value)
		}
		switch key.Value {
		case "platform":
			d.Platform = mdm.Platform(value.Value)
		case "model":
			d.Model = value.Value
		case "version":
			d.Version = value.Value
		case "from":
			d.From = Day(value.Value)
		default:
			return fmt.Errorf("line %d, column %d: unknown key %q: use platform, model, version, from", key.Line, key.Column, key.Value)
		}
	}
	return nil
}

func (m MinimumOS) check() refusal.List {
	var faults refusal.List
	if len(m) > maxDemands {
		faults.Add(refusal.New(ErrInvalid, "rules.minimum_os", fmt.Sprintf("has %d entries", len(m)), fmt.Sprintf("use at most %d, for example with * for a family of models", maxDemands)))
		return faults
	}
	_, plain := m.plain()
	for i, d := range m {
		field := fmt.Sprintf("rules.minimum_os[%d].", i)
		place := field + "version"
		if plain {
			place = "rules.minimum_os"
		}
		if v, ok := parseVersion(d.Version); !ok || v.String() != d.Version {
			faults.Add(refusal.New(ErrInvalid, place, "is not a version of 1 to 3 numbers", `for example "17.0"`))
		}
		if d.Platform != "" && d.Platform != mdm.Apple && d.Platform != mdm.Android {
			faults.Add(refusal.New(ErrInvalid, field+"platform", "is no platform", "use apple or android, or leave it out"))
		}
		faults.Add(refusal.Line(ErrInvalid, field+"model", d.Model, maxModel))
		if _, err := path.Match(d.Model, ""); err != nil || strings.ContainsAny(d.Model, `[]\`) {
			faults.Add(refusal.New(ErrInvalid, field+"model", "is not a name with * and ?", "for example iPhone1*"))
		}
		if _, err := time.Parse(time.DateOnly, string(d.From)); d.From != "" && err != nil {
			faults.Add(refusal.New(ErrInvalid, field+"from", "is not a date", "for example 2027-01-01"))
		}
	}
	return faults
}

// selects reports whether a demand is about a phone; known is false where its
// model decides and the phone has not told it.
func (d Demand) selects(p mdm.Platform, device *mdm.DeviceFacts) (selected, known bool) {
	if d.Platform != "" && d.Platform != p {
		return false, true
	}
	if d.Model == "" {
		return true, true
	}
	if device == nil || device.Product == "" && device.Model == "" {
		return false, false
	}
	for _, name := range []string{device.Product, device.Model} {
		if ok, err := path.Match(strings.ToLower(d.Model), strings.ToLower(name)); err == nil && ok && name != "" {
			return true, true
		}
	}
	return false, true
}

// narrow orders selections by how much they say.
func (d Demand) narrow() int {
	n := 2 * len(strings.Trim(d.Model, "*?"))
	if d.Model != "" {
		n += 2
	}
	if d.Platform != "" {
		n++
	}
	return n
}

// required is what a phone must have now, and the next that it will have to have
// beside that; nil where there is none. known is false where that depends on a
// model which the phone has not told.
func (m MinimumOS) required(p mdm.Platform, device *mdm.DeviceFacts, now time.Time) (force, next *Demand, known bool) {
	if _, ok := m.plain(); ok {
		return &m[0], nil, true
	}
	groups := map[int][]Demand{}
	for _, d := range m {
		selected, known := d.selects(p, device)
		if !known {
			return nil, nil, false
		}
		if selected {
			groups[d.group] = append(groups[d.group], d)
		}
	}
	var counting []Demand
	for _, list := range groups {
		most := slices.MaxFunc(list, func(a, b Demand) int { return cmp.Compare(a.narrow(), b.narrow()) }).narrow()
		counting = append(counting, slices.DeleteFunc(list, func(d Demand) bool { return d.narrow() < most })...)
	}
	slices.SortFunc(counting, func(a, b Demand) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Version, b.Version)) })
	for i, d := range counting {
		switch later := d.From != "" && now.Before(d.From.begins()); {
		case !later && (force == nil || higher(d, *force)):
			force = &counting[i]
		case later && next == nil && (force == nil || higher(d, *force)):
			next = &counting[i]
		}
	}
	return force, next, true
}

func higher(a, b Demand) bool {
	have, _ := parseVersion(a.Version)
	other, _ := parseVersion(b.Version)
	return !other.atLeast(have)
}

// Equal reports whether both ask the same.
func (m MinimumOS) Equal(other MinimumOS) bool { return slices.Equal(m, other) }

// both are the demands of two policies, one beside the other. Two plain ones
// come to the higher.
func (m MinimumOS) both(other MinimumOS) MinimumOS {
	if m.Equal(other) {
		return m
	}
	if len(m) == 0 || len(other) == 0 {
		return append(slices.Clone(m), other...)
	}
	a, plainA := m.plain()
	b, plainB := other.plain()
	if plainA && plainB {
		if higher(Demand{Version: a}, Demand{Version: b}) {
			return m
		}
		return other
	}
	last := 0
	for _, d := range m {
		last = max(last, d.group)
	}
	all := slices.Clone(m)
	for _, d := range other {
		d.group += last + 1
		all = append(all, d)
	}
	return all
}
