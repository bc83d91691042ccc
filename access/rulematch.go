package access

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// criterion is one condition of a rule as an admin knows it.
type criterion struct{ name, field, value string }

func (r *Rule) criteria() [8]criterion {
	return [...]criterion{
		{"family", "family", r.Family}, {"model", "model", r.Model}, {"OS", "os", r.OS}, {"user agent", "user_agent", r.UserAgent},
		{"protocol", "protocol_version", r.Protocol}, {"group", "group", r.Group}, {"ownership", "ownership", r.Ownership}, {"network", "network", r.Network},
	}
}

// Validate reports all faults at once, as a refusal.List on behalf of ErrInvalid.
func (r *Rule) Validate() error {
	var faults refusal.List
	if r.Effect != Allow && r.Effect != Quarantine && r.Effect != Block {
		faults.Add(refusal.New(ErrInvalid, "effect", "is none of allow, quarantine and block", "choose one of them"))
	}
	some, criteria := false, r.criteria()
	for _, c := range criteria {
		some = some || c.value != ""
		limit := maxDevice
		if c.field == "user_agent" {
			limit = maxUserAgent
		}
		faults.Add(refusal.Line(ErrInvalid, c.field, c.value, limit))
	}
	if !some {
		faults.Add(refusal.New(ErrInvalid, "", "the rule names no device", "give at least one of family, model, os, user_agent, protocol_version, group, ownership, network; for all devices set the default"))
	}
	for _, c := range criteria[:4] {
		faults.Add(checkPattern(c.field, c.value))
	}
	faults.Add(checkPattern("group", r.Group))
	if _, _, ok := protocolRange(r.Protocol); r.Protocol != "" && !ok {
		faults.Add(refusal.New(ErrInvalid, "protocol_version", "is not a version of ActiveSync", `write it like 12.1, or <16.1 for all below`))
	}
	if r.Ownership != "" && !mdm.Ownership(r.Ownership).Valid() {
		faults.Add(refusal.New(ErrInvalid, "ownership", "is neither corporate nor personal", "choose one of them"))
	}
	faults.Add(checkNetwork(r.Network))
	return faults.OrNil()
}

// Warnings say what the rule does beyond what it seems to: none keeps it from
// being added. Family, user agent, model, OS and protocol are the mail client's own
// words, so that a rule of nothing else lets in whatever speaks like that. A group
// is the directory's word, ownership an enrolled phone's, an address the proxy's.
func (r *Rule) Warnings() []*refusal.Error {
	if r.Effect != Allow || r.Group != "" || r.Ownership != "" || r.Network != "" {
		return nil
	}
	return []*refusal.Error{refusal.New(ErrInvalid, "effect", "devices without an enrolment are let in, too: a mail client says of itself that it is of this kind",
		"add ownership, group or network, or leave it to the policies, which let in enrolled phones without any rule")}
}

func checkPattern(field, pattern string) *refusal.Error {
	begin, open := strings.CutSuffix(pattern, "*")
	switch {
	case strings.Contains(begin, "*"):
		return refusal.New(ErrInvalid, field, `has "*" elsewhere than at its end`, `write the whole text, or its beginning and one "*"`)
	case open && begin == "":
		return refusal.New(ErrInvalid, field, "means every device", `write a beginning before the "*"; for all devices set the default`)
	}
	return nil
}

func checkNetwork(network string) *refusal.Error {
	if network == "" {
		return nil
	}
	p, err := netip.ParsePrefix(network)
	switch {
	case err != nil:
		return refusal.New(ErrInvalid, "network", "is not a network", "write it like 192.0.2.0/24 or 2001:db8::/32; one address ends in /32 or /128")
	case p.Addr().Is4In6():
		return refusal.New(ErrInvalid, "network", "is an IPv4 network written as IPv6", "write it like 192.0.2.0/24")
	case p != p.Masked():
		return refusal.New(ErrInvalid, "network", "names an address inside of the network", "write "+p.Masked().String())
	}
	return nil
}

// matches reports whether every criterion of the rule holds. What the mail client
// says now goes before what is on record of it. Models count as the phone or its
// mail client told, as the two use different words for one. Of the OS the record
// counts last: a client that is refused tells no new version, so its old one
// would keep a phone out that has been updated long since.
func (r *Rule) matches(c *Client, person *Person, d *Device, phones []Phone) bool {
	return like(r.Family, cmp.Or(c.DeviceType, d.Type)) &&
		like(r.UserAgent, cmp.Or(c.UserAgent, d.UserAgent)) &&
		(r.Model == "" || like(r.Model, cmp.Or(c.Model, d.Model)) || anyPhone(phones, r, (*Rule).ofProduct)) &&
		r.matchesOS(c, d, phones) &&
		r.matchesProtocol(cmp.Or(c.Protocol, d.Protocol)) &&
		(r.Group == "" || slices.ContainsFunc(person.Groups, func(g string) bool { return like(r.Group, g) })) &&
		(r.Ownership == "" || anyPhone(phones, r, (*Rule).ofOwner)) &&
		r.matchesNetwork(c.Address)
}

// like compares without regard to case: whole, or as a beginning where pattern
// ends in "*". An empty pattern asks nothing; an unknown value meets no other.
func like(pattern, value string) bool {
	if pattern == "" {
		return true
	}
	if begin, open := strings.CutSuffix(pattern, "*"); open {
		return len(value) >= len(begin) && value != "" && strings.EqualFold(value[:len(begin)], begin)
	}
	return strings.EqualFold(pattern, value)
}

// anyPhone looks at the enrolled phones that the device is known to be.
func anyPhone(phones []Phone, r *Rule, holds func(*Rule, *Phone) bool) bool {
	for i := range phones {
		if p := &phones[i]; p.Proof.Counts() && p.State.Active() && holds(r, p) {
			return true
		}
	}
	return false
}

func (r *Rule) ofProduct(p *Phone) bool { return like(r.Model, p.Product) }
func (r *Rule) ofOwner(p *Phone) bool   { return strings.EqualFold(r.Ownership, string(p.Ownership)) }
func (r *Rule) ofSystem(p *Phone) bool {
	return p.OSVersion != "" && likeJoined(r.OS, p.system(), p.OSVersion)
}

func tellsSystem(_ *Rule, p *Phone) bool { return p.OSVersion != "" }

func (r *Rule) matchesOS(c *Client, d *Device, phones []Phone) bool {
	if r.OS == "" || like(r.OS, c.OS) || anyPhone(phones, r, (*Rule).ofSystem) {
		return true
	}
	return c.OS == "" && !anyPhone(phones, r, tellsSystem) && like(r.OS, d.OS)
}

// system is the name that mail clients put before the version: "iOS 26.1".
func (p *Phone) system() string {
	switch {
	case p.Platform == mdm.Android:
		return "Android "
	case strings.HasPrefix(p.Product, "iPad"):
		return "iPadOS "
	default:
		return "iOS "
	}
}

// likeJoined is like for the value head+tail, without making it.
func likeJoined(pattern, head, tail string) bool {
	if len(pattern) <= len(head) {
		begin, open := strings.CutSuffix(pattern, "*")
		return open && strings.EqualFold(head[:len(begin)], begin)
	}
	return strings.EqualFold(pattern[:len(head)], head) && like(pattern[len(head):], tail)
}

// version is one of ActiveSync, for example 16.1.
type version struct{ major, minor int }

func parseVersion(s string) (version, bool) {
	major, minor, ok := strings.Cut(s, ".")
	a, okMajor := digits(major)
	b, okMinor := digits(minor)
	return version{a, b}, ok && okMajor && okMinor
}

// digits reads one or two of them.
func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) == 1 || len(s) == 2
}

// protocolRange takes "12.1" or "<16.1" apart.
func protocolRange(s string) (v version, below, ok bool) {
	s, below = strings.CutPrefix(s, "<")
	v, ok = parseVersion(s)
	return v, below, ok
}

func (r *Rule) matchesProtocol(protocol string) bool {
	if r.Protocol == "" {
		return true
	}
	want, below, ok := protocolRange(r.Protocol)
	have, told := parseVersion(protocol)
	if !ok || !told {
		return false
	}
	if below {
		return have.major < want.major || have.major == want.major && have.minor < want.minor
	}
	return have == want
}

func (r *Rule) matchesNetwork(address string) bool {
	if r.Network == "" {
		return true
	}
	network, err := netip.ParsePrefix(r.Network)
	a, told := netip.ParseAddr(address)
	return err == nil && told == nil && network.Contains(a.Unmap().WithZone(""))
}
