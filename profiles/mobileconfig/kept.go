package mobileconfig

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// Foreign is a payload of a type that we do not write ourselves, from an
// imported profile. It is given back as it came.
type Foreign struct {
	Common
	PayloadType string
	// Keys are its own keys, without those of Common, PayloadType and PayloadVersion.
	Keys map[string]any
	// Revision stands in TopUUID for what may be secret in Keys.
	Revision string
}

// Type implements Payload.
func (f Foreign) Type() string { return f.PayloadType }

func (f Foreign) secret() bool { return holdsSecret(f.PayloadType, f.Keys) }

func (f Foreign) fill(dict map[string]any, m mode) { keep(dict, f.PayloadType, f.Keys, f.Revision, m) }

func (f Foreign) check() refusal.List {
	var list refusal.List
	list.Add(required("PayloadType", f.PayloadType))
	list.Add(texts(f.PayloadType+".", map[string]string{"PayloadType": f.PayloadType})...)
	if f.secret() && f.Revision == "" {
		list.Add(refusal.New(ErrInvalid, f.PayloadType, "holds a secret without a revision", "give the revision of what was imported"))
	}
	return append(list, keepable(f.PayloadType+".", f.Keys)...)
}

func (f Foreign) references() map[string]string { return nil }

// keep writes kept keys; those that dict has already stay.
func keep(dict map[string]any, payloadType string, kept map[string]any, revision string, m mode) {
	for key, value := range rewriteIn(payloadType, kept, func(old any) any { return blank(old, revision, m) }) {
		if _, ok := dict[key]; !ok {
			dict[key] = value
		}
	}
}

// keepable refuses kept values that a property list cannot carry as they are.
func keepable(path string, kept map[string]any) refusal.List {
	var list refusal.List
	for _, key := range slices.Sorted(maps.Keys(kept)) {
		if headKeys[key] {
			list.Add(refusal.New(ErrInvalid, path+key, "is among the kept keys, but is written anew", "remove it from what is kept"))
			continue
		}
		list.Add(refusal.Line(ErrInvalid, path+key, key, maxText))
		list.Add(keepableValue(path+key, kept[key], bounded.MaxDepth)...)
	}
	return list
}

// headKeys are the keys that Common and Profile stand for.
var headKeys = map[string]bool{
	"PayloadType": true, "PayloadVersion": true, "PayloadIdentifier": true, "PayloadUUID": true,
	"PayloadDisplayName": true, "PayloadDescription": true, "PayloadOrganization": true,
}

func keepableValue(path string, v any, depth int) refusal.List {
	if depth == 0 {
		return refusal.List{refusal.New(ErrInvalid, path, "nests too deep", "use fewer levels")}
	}
	var list refusal.List
	switch v := v.(type) {
	case string:
		list.Add(xmlText(path, v))
	case bool, []byte, int, int64, uint64, time.Time:
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			list.Add(refusal.New(ErrInvalid, path, "is not a number", "remove it"))
		}
	case []any:
		for _, item := range v {
			list.Add(keepableValue(path, item, depth-1)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list.Add(xmlText(path, key))
			list.Add(keepableValue(path+"."+key, v[key], depth-1)...)
		}
	default:
		list.Add(refusal.New(ErrInvalid, path, "is not a value of a property list", "remove it"))
	}
	return list
}

// xmlText allows several lines, which an imported consent text may have, but
// not what XML would change in silence.
func xmlText(path, value string) *refusal.Error {
	plain := strings.NewReplacer("\n", "", "\t", "").Replace(value)
	return refusal.Line(ErrInvalid, path, plain, bounded.MaxPlist)
}
