package access

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sallyport/compliance"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

func TestRuleMatches(t *testing.T) {
	t.Parallel()
	phone := enrolled("e1", compliance.Compliant)
	tests := []struct {
		name string
		rule Rule
		set  func(*Inputs)
		want bool
	}{
		{"family", Rule{Family: "IPHONE"}, nil, true},
		{"part of a family", Rule{Family: "iPh"}, nil, false},
		{"beginning of a family", Rule{Family: "iph*"}, nil, true},
		{"longer than the family", Rule{Family: "iPhone1*"}, nil, false},
		{"family on record only", Rule{Family: "iPhone"}, func(in *Inputs) { in.Client.DeviceType = "" }, true},
		{"family that changed", Rule{Family: "iPhone"}, func(in *Inputs) { in.Client.DeviceType = "iPad" }, false},
		{"family that nobody told", Rule{Family: "i*"}, func(in *Inputs) { in.Client.DeviceType, in.Device.Type = "", "" }, false},
		{"letters that fold to longer ones", Rule{Family: "\u212a*"}, func(in *Inputs) { in.Client.DeviceType = "K" }, false},
		{"model on record", Rule{Model: "iPhone15C4"}, nil, true},
		{"model that the phone told", Rule{Model: "iPhone15,4"}, func(in *Inputs) { in.Phones = []Phone{phone} }, true},
		{"model of a probable phone", Rule{Model: "iPhone15,4"}, func(in *Inputs) { in.Phones = []Phone{proved(ProofProbable)} }, false},
		{"model of an ended enrolment", Rule{Model: "iPhone15,4"}, func(in *Inputs) { in.Phones = []Phone{of(mdm.Replaced)} }, false},
		{"model that nobody told", Rule{Model: "iPhone*"}, func(in *Inputs) { in.Device.Model = "" }, false},
		{"OS told now", Rule{OS: "iOS 16*"}, func(in *Inputs) { in.Client.OS = "iOS 16.7.2 20H115" }, true},
		{"OS on record", Rule{OS: "iOS 16*"}, func(in *Inputs) { in.Device.OS = "iOS 16.7" }, true},
		{"OS on record, updated since", Rule{OS: "iOS 16*"}, func(in *Inputs) { in.Device.OS, in.Phones = "iOS 16.7", []Phone{phone} }, false},
		{"OS that the phone told", Rule{OS: "ios 26.1"}, func(in *Inputs) { in.Phones = []Phone{phone} }, true},
		{"OS by name", Rule{OS: "iOS*"}, func(in *Inputs) { in.Phones = []Phone{phone} }, true},
		{"OS by half a name", Rule{OS: "i*"}, func(in *Inputs) { in.Phones = []Phone{phone} }, true},
		{"OS of an iPad", Rule{OS: "iPadOS 26*"}, func(in *Inputs) { phone := phone; phone.Product = "iPad14,1"; in.Phones = []Phone{phone} }, true},
		{"OS of an Android phone", Rule{OS: "Android 26*"}, func(in *Inputs) { phone := phone; phone.Platform = mdm.Android; in.Phones = []Phone{phone} }, true},
		{"OS that nobody told", Rule{OS: "iOS*"}, nil, false},
		{"user agent", Rule{UserAgent: "Apple-iPhone*"}, nil, true},
		{"protocol", Rule{Protocol: "16.1"}, nil, true},
		{"another protocol", Rule{Protocol: "16.0"}, nil, false},
		{"lower protocol", Rule{Protocol: "<16.1"}, nil, false},
		{"lower by ten", Rule{Protocol: "<16.1"}, func(in *Inputs) { in.Client.Protocol = "2.5" }, true},
		{"lower by one", Rule{Protocol: "<16.1"}, func(in *Inputs) { in.Client.Protocol = "16.0" }, true},
		{"protocol that nobody told", Rule{Protocol: "<16.1"}, func(in *Inputs) { in.Client.Protocol = "" }, false},
		{"no protocol", Rule{Protocol: "<16.1"}, func(in *Inputs) { in.Client.Protocol = "16" }, false},
		{"group", Rule{Group: "Staff"}, nil, true},
		{"beginning of a group", Rule{Group: "st*"}, nil, true},
		{"another group", Rule{Group: "sales"}, nil, false},
		{"ownership", Rule{Ownership: "corporate"}, func(in *Inputs) { in.Phones = []Phone{phone} }, true},
		{"other ownership", Rule{Ownership: "personal"}, func(in *Inputs) { in.Phones = []Phone{phone} }, false},
		{"ownership of a stranger", Rule{Ownership: "personal"}, nil, false},
		{"network", Rule{Network: "192.0.2.0/24"}, nil, true},
		{"IPv4 as IPv6", Rule{Network: "192.0.2.0/24"}, func(in *Inputs) { in.Client.Address = "::ffff:192.0.2.9" }, true},
		{"IPv6 with a zone", Rule{Network: "fe80::/10"}, func(in *Inputs) { in.Client.Address = "fe80::1%eth0" }, true},
		{"another network", Rule{Network: "198.51.100.0/24"}, nil, false},
		{"no address", Rule{Network: "0.0.0.0/0"}, func(in *Inputs) { in.Client.Address = "" }, false},
		{"all of several", Rule{Family: "iPhone", Group: "staff", Network: "192.0.2.7/32"}, nil, true},
		{"all but one", Rule{Family: "iPhone", Group: "staff", Network: "192.0.2.8/32"}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := question()
			if tt.set != nil {
				tt.set(in)
			}
			if got := tt.rule.matches(&in.Client, &in.People[0], &in.Device, in.Phones); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRuleValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		rule Rule
		want string // the refused fields
	}{
		{"each criterion", Rule{Effect: Block, Family: "iPhone", Model: "iPhone15*", OS: "iOS 16*", UserAgent: "Apple-*", Protocol: "<16.1", Group: "staff", Ownership: "personal", Network: "2001:db8::/32"}, ""},
		{"long user agent", Rule{Effect: Allow, UserAgent: strings.Repeat("a", 1024)}, ""},
		{"nothing", Rule{}, "effect, "},
		{"no criterion", Rule{Effect: Quarantine}, ""},
		{"another effect", Rule{Effect: "wipe", Family: "iPhone"}, "effect"},
		{"star at the beginning", Rule{Effect: Block, Family: "*hone", Model: "i*e", OS: "i**", UserAgent: "*", Group: "*"}, "family, model, os, user_agent, group"},
		{"control characters", Rule{Effect: Block, Family: "a\n", Network: "\x00"}, "family, network, network"},
		{"long", Rule{Effect: Block, Family: strings.Repeat("a", 129)}, "family"},
		{"protocols", Rule{Effect: Block, Protocol: ">16.1"}, "protocol_version"},
		{"protocol of one number", Rule{Effect: Block, Protocol: "16"}, "protocol_version"},
		{"protocol with a star", Rule{Effect: Block, Protocol: "16.*"}, "protocol_version"},
		{"ownership", Rule{Effect: Block, Ownership: "byod"}, "ownership"},
		{"one address", Rule{Effect: Block, Network: "192.0.2.1"}, "network"},
		{"address in a network", Rule{Effect: Block, Network: "192.0.2.1/24"}, "network"},
		{"mapped network", Rule{Effect: Block, Network: "::ffff:192.0.2.0/120"}, "network"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.rule.Validate()
			var fields []string
			for _, r := range refusal.All(err) {
				fields = append(fields, r.Field)
				if r.Reason == "" || r.Remedy == "" {
					t.Errorf("refusal without reason or remedy: %+v", r)
				}
			}
			if got := strings.Join(fields, ", "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if refused := tt.want != "" || tt.name == "no criterion"; refused != (err != nil) || refused != errors.Is(err, ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRuleMatchesWithoutMemory(t *testing.T) {
	in := question()
	in.Phones = []Phone{enrolled("e1", compliance.Compliant)}
	rule := Rule{Effect: Block, Family: "iphone", Model: "iPhone15,*", OS: "iOS 26*", UserAgent: "apple-*", Protocol: "<16.2", Group: "st*", Ownership: "corporate", Network: "192.0.2.0/24"}
	matched := false
	if n := testing.AllocsPerRun(100, func() {
		matched = rule.matches(&in.Client, &in.People[0], &in.Device, in.Phones)
	}); n != 0 || !matched {
		t.Errorf("%v allocations, matched %v", n, matched)
	}
}

// referenceRule asks of each criterion whether any word that is known fits.
func referenceRule(r Rule, in *Inputs, live []Phone) bool {
	c, d, told := in.Client, in.Device, []string{}
	models, owners := []string{either(c.Model, d.Model)}, []string{}
	for _, p := range live {
		models, owners = append(models, p.Product), append(owners, string(p.Ownership))
		told = append(told, filter([]string{map[mdm.Platform]string{mdm.Apple: "iOS ", mdm.Android: "Android "}[p.Platform] + p.OSVersion}, func(string) bool { return p.OSVersion != "" })...)
	}
	systems := map[bool][]string{true: {d.OS}, false: append(told, c.OS)}[len(told) == 0 && c.OS == ""]
	fits := func(pattern string, words ...string) bool {
		low := strings.ToLower(pattern)
		return pattern == "" || filter(words, func(w string) bool {
			return w != "" && (strings.ToLower(w) == low || strings.HasSuffix(low, "*") && strings.HasPrefix(strings.ToLower(w)+"*", low[:len(low)-1]))
		}) != nil
	}
	protocol := either(c.Protocol, d.Protocol) // here always of the form NN.N
	address, _ := netip.ParseAddr(c.Address)
	network, _ := netip.ParsePrefix(r.Network)
	return fits(r.Family, either(c.DeviceType, d.Type)) && fits(r.Model, models...) && fits(r.OS, systems...) && fits(r.UserAgent, either(c.UserAgent, d.UserAgent)) &&
		(fits(r.Protocol, protocol) || strings.HasPrefix(r.Protocol, "<") && protocol != "" && protocol < r.Protocol[1:]) &&
		fits(r.Group, in.People[0].Groups...) && fits(r.Ownership, owners...) && (r.Network == "" || network.Contains(address))
}

func TestRuleWarnings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule Rule
		want int
	}{
		"family":               {Rule{Effect: Allow, Family: "iPhone"}, 1},
		"all of its own words": {Rule{Effect: Allow, Family: "iPhone", Model: "iPhone15,4", OS: "iOS 26*", UserAgent: "Apple*", Protocol: "16.1"}, 1},
		"block":                {Rule{Effect: Block, Family: "iPhone"}, 0},
		"quarantine":           {Rule{Effect: Quarantine, Family: "iPhone"}, 0},
		"and an enrolment":     {Rule{Effect: Allow, Family: "iPhone", Ownership: "corporate"}, 0},
		"and a group":          {Rule{Effect: Allow, Family: "iPhone", Group: "staff"}, 0},
		"and a network":        {Rule{Effect: Allow, Family: "iPhone", Network: "192.0.2.0/24"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.rule.Warnings(); len(got) != test.want {
				t.Errorf("got warnings %v, want %d", got, test.want)
			}
		})
	}
}
