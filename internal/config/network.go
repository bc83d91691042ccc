package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// networks reads addresses and networks in CIDR form, with commas or blanks
// between them. Bits beyond the prefix are refused, as one of the two is a slip;
// so is a network of everybody, who would all be believed.
func networks(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for i, word := range words(text) {
		network, err := netip.ParsePrefix(word)
		if address, single := netip.ParseAddr(word); single == nil && address.Zone() == "" {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		switch {
		case err != nil || network.Addr().Is4In6():
			return nil, fmt.Errorf("entry %d is no address and no network such as 10.0.0.0/8 or 2001:db8::/32", i+1)
		case network.Bits() == 0:
			return nil, errors.New("must not hold a network of everybody")
		case network != network.Masked():
			return nil, fmt.Errorf("entry %d has bits beyond its prefix", i+1)
		}
		all = append(all, network)
	}
	return all, nil
}

// spell is what networks reads.
func spell(all []netip.Prefix) string {
	words := make([]string, len(all))
	for i, network := range all {
		words[i] = network.String()
	}
	return strings.Join(words, ", ")
}

// words are what commas or blanks part.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
