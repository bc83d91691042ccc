package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"
)

// CheckKey refuses, with ErrKeyRefused, a public key that we do not certify:
// anything but RSA of 2048 to 4096 bits with an odd exponent of at least
// 65537, P-256 and P-384; and RSA keys that are known to be weak by their form.
func CheckKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return checkRSA(k)
	case *ecdsa.PublicKey:
		return checkCurve(k)
	default:
		return fmt.Errorf("%w: keys of type %T", ErrKeyRefused, key)
	}
}

func checkRSA(key *rsa.PublicKey) error {
	if key == nil || key.N == nil || key.N.Sign() <= 0 {
		return fmt.Errorf("%w: no modulus", ErrKeyRefused)
	}
	if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
		return fmt.Errorf("%w: RSA modulus of %d bits, want 2048 to 4096", ErrKeyRefused, bits)
	}
	if key.E < 65537 || key.E%2 == 0 {
		return fmt.Errorf("%w: RSA exponent %d, want an odd one of at least 65537", ErrKeyRefused, key.E)
	}
	return checkModulus(key.N)
}

// checkModulus looks at the modulus by each small prime. One that divides it
// gives the key away. One where it is, for each of them, a power of 65537 comes
// from the library of CVE-2017-15361 (ROCA) and can be factored; a sound key
// looks so with a chance of less than 2^-100 or so.
func checkModulus(n *big.Int) error {
	roca := true
	remainder := new(big.Int)
	for p := int64(3); p <= 167; p += 2 {
		prime := big.NewInt(p)
		if !prime.ProbablyPrime(0) { // exact for numbers this small
			continue
		}
		r := remainder.Mod(n, prime).Int64()
		if r == 0 {
			return fmt.Errorf("%w: RSA modulus has the factor %d", ErrKeyRefused, p)
		}
		if roca && !isPower(r, 65537, p) {
			roca = false
		}
	}
	if n.Bit(0) == 0 {
		return fmt.Errorf("%w: RSA modulus is even", ErrKeyRefused)
	}
	if roca {
		return fmt.Errorf("%w: RSA key made by a faulty chip (ROCA)", ErrKeyRefused)
	}
	return nil
}

// isPower reports whether r is a power of base modulo p.
func isPower(r, base, p int64) bool {
	base %= p
	power := int64(1)
	for range p {
		if power == r {
			return true
		}
		power = power * base % p
	}
	return false
}

func checkCurve(key *ecdsa.PublicKey) error {
	if key == nil || (key.Curve != elliptic.P256() && key.Curve != elliptic.P384()) {
		return fmt.Errorf("%w: elliptic curve, want P-256 or P-384", ErrKeyRefused)
	}
	if _, err := key.ECDH(); err != nil { // not on its curve
		return fmt.Errorf("%w: no point on its curve", ErrKeyRefused)
	}
	return nil
}
