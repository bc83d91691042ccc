package mobileconfig

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/refusal"
)

// ContentType is how a profile is served over HTTP; Safari offers to install it.
const ContentType = "application/x-apple-aspen-config"

// ErrInvalid says that a profile would be refused by the phone; the refusals
// name the keys.
var ErrInvalid = errors.New("invalid configuration profile")

// maxText bounds one value; no key that we write needs more.
const maxText = 4096

// Profile is a configuration profile. Its Identifier decides on the phone
// whether it replaces an installed one.
// https://developer.apple.com/documentation/devicemanagement/toplevel
type Profile struct {
	Identifier   string // reverse DNS, for ever the same for one purpose and user
	UUID         string // PayloadUUID; empty: TopUUID
	DisplayName  string
	Description  string
	Organization string
	// RemovalDisallowed is honoured on supervised phones only.
	RemovalDisallowed bool
	Payloads          []Payload
	// Kept are top-level keys that we do not model, from an imported profile.
	Kept map[string]any
	// KeptRevision stands in TopUUID for what may be secret in Kept.
	KeptRevision string
}

// Payload is one part of a profile: EAS, SCEP, PKCS12, AwaitedPKCS12, Passcode,
// MDM, Certificate or Foreign.
type Payload interface {
	// Type is the PayloadType.
	Type() string
	// Header returns the keys that every payload has.
	Header() Common
	// fill writes the payload's own keys; m says what stands for secrets.
	fill(dict map[string]any, m mode)
	// check refuses values that the phone would.
	check() refusal.List
	// references are the UUIDs of identity payloads that this one needs, by key.
	references() map[string]string
}

// Common are the keys of every payload. A payload is updated in place only while
// both Identifier and UUID stay as they are; a new UUID makes the phone create
// the account anew and load all mail again.
type Common struct {
	Identifier   string // unique in the profile
	UUID         string // upper case, unique in the profile
	DisplayName  string
	Description  string
	Organization string
}

// Header implements Payload for the types that embed Common.
func (c Common) Header() Common { return c }

// Validate refuses what a phone would refuse: missing and doubled identifiers,
// references to payloads that the profile does not have, characters that XML
// cannot carry, and what the payload types themselves demand.
func (p Profile) Validate() error {
	var list refusal.List
	list.Add(required("PayloadIdentifier", p.Identifier))
	list.Add(texts("", map[string]string{
		"PayloadIdentifier": p.Identifier, "PayloadUUID": p.UUID, "PayloadDisplayName": p.DisplayName,
		"PayloadDescription": p.Description, "PayloadOrganization": p.Organization,
	})...)
	list.Add(p.checkKept()...)
	if len(p.Payloads) == 0 {
		list.Add(refusal.New(ErrInvalid, "PayloadContent", "holds no payload", "add one"))
	}
	identifiers, uuids := map[string]bool{}, map[string]string{}
	for _, payload := range p.Payloads {
		list.Add(checkPayload(payload)...)
		h := payload.Header()
		identifier, uuid := strings.ToLower(h.Identifier), strings.ToUpper(h.UUID)
		if identifiers[identifier] { // MCProfile error 1007
			list.Add(refusal.New(ErrInvalid, payload.Type()+".PayloadIdentifier", "is that of another payload", "give each payload its own"))
		}
		if uuids[uuid] != "" { // MCProfile error 1008
			list.Add(refusal.New(ErrInvalid, payload.Type()+".PayloadUUID", "is that of another payload", "give each payload its own"))
		}
		identifiers[identifier], uuids[uuid] = true, payload.Type()
	}
	for _, payload := range p.Payloads {
		list.Add(checkReferences(payload, uuids)...)
	}
	return list.OrNil()
}

// identities are the payloads that bring a certificate with its key.
var identities = map[string]bool{"com.apple.security.scep": true, pkcs12Type: true, "com.apple.security.acme": true}

// checkReferences wants each to lead to an identity; types are those of the
// profile's payloads by UUID.
func checkReferences(payload Payload, types map[string]string) refusal.List {
	var list refusal.List
	references := payload.references()
	for _, key := range slices.Sorted(maps.Keys(references)) {
		if references[key] == "" {
			continue
		}
		name, ok := types[strings.ToUpper(references[key])]
		switch {
		case !ok:
			list.Add(refusal.New(ErrInvalid, payload.Type()+"."+key, "refers to a payload that is not in this profile", "add the payload to the same profile"))
		case !identities[name]:
			list.Add(refusal.New(ErrInvalid, payload.Type()+"."+key, "refers to a payload that brings no private key", "refer to a SCEP or PKCS#12 payload"))
		}
	}
	return list
}

// reserved are the top-level keys that we write, or that decide over all others.
var reserved = map[string]bool{
	"PayloadContent": true, "IsEncrypted": true, "EncryptedPayloadContent": true, "PayloadRemovalDisallowed": true,
}

func (p Profile) checkKept() refusal.List {
	list := keepable("", p.Kept)
	for _, key := range slices.Sorted(maps.Keys(p.Kept)) {
		if reserved[key] {
			list.Add(refusal.New(ErrInvalid, key, "is among the kept keys, but is written anew", "remove it from what is kept"))
		}
	}
	if holdsSecret("", p.Kept) && p.KeptRevision == "" {
		list.Add(refusal.New(ErrInvalid, "", "the kept keys hold a secret without a revision", "give the revision of what was imported"))
	}
	return list
}

func checkPayload(payload Payload) refusal.List {
	var list refusal.List
	h, path := payload.Header(), payload.Type()+"."
	list.Add(required(path+"PayloadIdentifier", h.Identifier), required(path+"PayloadUUID", h.UUID))
	list.Add(texts(path, map[string]string{
		"PayloadIdentifier": h.Identifier, "PayloadUUID": h.UUID, "PayloadDisplayName": h.DisplayName,
		"PayloadDescription": h.Description, "PayloadOrganization": h.Organization,
	})...)
	list.Add(payload.check()...)
	return list
}

func required(key, value string) *refusal.Error {
	if value != "" {
		return nil
	}
	return refusal.New(ErrInvalid, key, "is missing", "a phone refuses the profile without it")
}

// texts refuses values that would not arrive as they are: the plist encoder
// replaces what XML cannot carry, without an error.
func texts(path string, values map[string]string) refusal.List {
	var list refusal.List
	for key, value := range values {
		if e := refusal.Line(ErrInvalid, key, value, maxText); e != nil {
			e.Field = path + key
			list.Add(e)
		}
	}
	slices.SortFunc(list, func(a, b *refusal.Error) int { return strings.Compare(a.Field, b.Field) })
	return list
}
