package bounded

import "encoding/asn1"

// MaxDerivations bounds the key derivation that a PKCS#12 file may ask for before
// its password is known to be right: programs write 2,000 to 600,000 iterations,
// and the library that reads such files sets no bound of its own.
const MaxDerivations = 2_000_000

// Where a count of iterations stands: second in the parameters of PBKDF2 and of
// the PBE algorithms of PKCS#12, whatever comes first (RFC 8018, appendix A.2;
// RFC 7292, appendix C).
var (
	oidPBKDF2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidPKCS12PBE = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1} // and one arc more
)

// Derivations sums up the iterations that the key derivations of a PKCS#12 file
// ask for. What is encrypted is not looked into: whoever opens the file sees to it
// that no key is derived there. Check the file with DER first.
func Derivations(data []byte) int64 {
	sum := macIterations(data)
	pending := [][]byte{data}
	for len(pending) > 0 && sum <= MaxDerivations {
		children := elements(pending[len(pending)-1])
		pending = pending[:len(pending)-1]
		for i, v := range children {
			if v.IsCompound || isOctets(v) && holdsSequence(v.Bytes) { // octets: the authenticated safe
				pending = append(pending, v.Bytes)
			}
			if i > 0 && derivesKey(children[i-1]) {
				sum += countAt(elements(v.Bytes), 1)
			}
		}
	}
	return sum
}

// macIterations is what the MAC asks for: third in MacData, which is third in
// the file (RFC 7292, section 4).
func macIterations(data []byte) int64 {
	for _, v := range elements(data) {
		if parts := elements(v.Bytes); len(parts) > 2 {
			return countAt(elements(parts[2].Bytes), 2)
		}
	}
	return 0
}

// elements reads values until one cannot be read.
func elements(der []byte) []asn1.RawValue {
	var list []asn1.RawValue
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			break
		}
		list, der = append(list, v), rest
	}
	return list
}

func isOctets(v asn1.RawValue) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
}

func derivesKey(v asn1.RawValue) bool {
	var id asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(v.FullBytes, &id); err != nil {
		return false
	}
	return id.Equal(oidPBKDF2) || len(id) == len(oidPKCS12PBE)+1 && id[:len(oidPKCS12PBE)].Equal(oidPKCS12PBE)
}

// countAt reads one count. One that no sum would hold is too many.
func countAt(children []asn1.RawValue, i int) int64 {
	var n int64
	if i >= len(children) {
		return 0
	}
	if _, err := asn1.Unmarshal(children[i].FullBytes, &n); err != nil {
		return 0 // no number: the library refuses it as well
	}
	return min(max(n, 0), MaxDerivations+1)
}

func holdsSequence(octets []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(octets, &v)
	return err == nil && len(rest) == 0 && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence
}
