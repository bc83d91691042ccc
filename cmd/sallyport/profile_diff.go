package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"sallyport/internal/yamldoc"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

type profileDiffCmd struct {
	A string `arg:"" help:"Template (YAML) or .mobileconfig."`
	B string `arg:"" help:"Another one of the same kind."`
	keyFiles
	Output
}

func (c *profileDiffCmd) Run(p *program) error {
	if c.A == "-" && c.B == "-" {
		return usageError{"only one of the two can be standard input"}
	}
	a, err := p.readFile(c.A, mobileconfig.MaxProfile)
	if err != nil {
		return err
	}
	b, err := p.readFile(c.B, mobileconfig.MaxProfile)
	if err != nil {
		return err
	}
	var changes []templates.Change
	switch {
	case isProfile(a) && isProfile(b):
		changes, err = c.profiles(p, a, b)
	case isProfile(a) || isProfile(b):
		return usageError{"one of the files is a profile and the other a template: compare two of a kind"}
	case c.Key != "" || c.Cert != "":
		return usageError{"--key and --cert are for encrypted profiles"}
	default:
		changes, err = c.templates(p, a, b)
	}
	if err != nil {
		return err
	}
	return printChanges(p, c.Output, changes)
}

func printChanges(p *program, o Output, changes []templates.Change) error {
	if len(changes) == 0 && !o.json() {
		fmt.Fprintln(p.stdout, "no difference")
		return nil
	}
	return list(p, o, changes, "FIELD BEFORE AFTER", func(c templates.Change) []string {
		return []string{c.Field, c.Before, c.After}
	})
}

func (c *profileDiffCmd) templates(p *program, a, b []byte) ([]templates.Change, error) {
	before, err := templates.Parse(a)
	if err != nil {
		return nil, p.refuse(c.A, a, err)
	}
	after, err := templates.Parse(b)
	if err != nil {
		return nil, p.refuse(c.B, b, err)
	}
	return templates.Diff(before, after), nil
}

func (c *profileDiffCmd) profiles(p *program, a, b []byte) ([]templates.Change, error) {
	device, err := c.device()
	if err != nil {
		return nil, err
	}
	before, err := inspected(c.A, a, device)
	if err != nil {
		return nil, err
	}
	after, err := inspected(c.B, b, device)
	if err != nil {
		return nil, err
	}
	if before.Encrypted && !before.Opened || after.Encrypted && !after.Opened {
		fmt.Fprintln(p.stderr, "sallyport: what is encrypted cannot be compared: give --key and --cert of the device")
	}
	return diffProfiles(before.Dict, after.Dict), nil
}

// isProfile tells a .mobileconfig, XML or DER, from YAML.
func isProfile(data []byte) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\uFEFF")), " \t\r\n")
	return bytes.HasPrefix(text, []byte("<")) || bytes.HasPrefix(text, []byte("bplist")) ||
		len(data) > 1 && data[0] == 0x30 && data[1] >= 0x80 && !yamldoc.Has(data, "name")
}

// diffProfiles says, key by key, what b changes in a. Payloads are compared by
// type and identifier, wherever they stand. Of secrets it says only that they
// changed.
func diffProfiles(a, b map[string]any) []templates.Change {
	before, after := flatten(a), flatten(b)
	keys := maps.Clone(before)
	maps.Copy(keys, after)
	changes := []templates.Change{}
	for _, key := range sortedKeys(keys) {
		old, had := before[key]
		now, has := after[key]
		if old == now && had == has {
			continue
		}
		change := templates.Change{Field: key, Before: seen(old, had), After: seen(now, has)}
		if had && has && strings.HasPrefix(now, secretMark) {
			change.After = "changed"
		}
		changes = append(changes, change)
	}
	return changes
}

// secretMark begins a value that is compared and never shown.
const secretMark = "\x00"

func seen(value string, present bool) string {
	switch {
	case !present:
		return "absent"
	case strings.HasPrefix(value, secretMark):
		return "a secret"
	}
	return value
}

// flattener writes every value of a profile under its path.
type flattener struct {
	values map[string]string
	prefix string // of the payloads' identifiers, which says nothing new
}

func flatten(profile map[string]any) map[string]string {
	identifier, _ := profile["PayloadIdentifier"].(string)
	f := flattener{values: map[string]string{}, prefix: identifier + "."}
	f.dict("", "", profile)
	return f.values
}

func (f flattener) dict(path, payloadType string, dict map[string]any) {
	if own, ok := dict["PayloadType"].(string); ok {
		payloadType = own
	}
	if path != "" {
		if len(dict) == 0 {
			f.values[path] = "empty"
		}
		path += "."
	}
	for key, value := range dict {
		if mobileconfig.SecretKey(payloadType, key, value) {
			f.values[path+key] = secretMark + fingerprint(value)
			continue
		}
		f.value(path+key, payloadType, value)
	}
}

func (f flattener) value(path, payloadType string, v any) {
	switch v := v.(type) {
	case map[string]any:
		f.dict(path, payloadType, v)
	case []any:
		taken := map[string]bool{}
		for i, item := range v {
			f.value(f.itemPath(path, i, item, taken), payloadType, item)
		}
	case []byte:
		f.values[path] = fmt.Sprintf("%d bytes, SHA-256 %s", len(v), fingerprint(v))
	case time.Time:
		f.values[path] = v.UTC().Format(time.RFC3339)
	default:
		f.values[path] = fmt.Sprint(v)
	}
}

// itemPath names a payload by what it is, anything else by its position.
func (f flattener) itemPath(path string, i int, item any, taken map[string]bool) string {
	payload, _ := item.(map[string]any)
	kind, _ := payload["PayloadType"].(string)
	identifier, _ := payload["PayloadIdentifier"].(string)
	name := fmt.Sprintf("%s[%s %s]", path, kind, strings.TrimPrefix(identifier, f.prefix))
	if kind == "" || identifier == "" || taken[name] {
		return fmt.Sprintf("%s[%d]", path, i)
	}
	taken[name] = true
	return name
}

func fingerprint(v any) string {
	data, ok := v.([]byte)
	if !ok {
		data = fmt.Append(nil, v)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
