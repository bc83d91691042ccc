package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math"
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
	for _, group := range smallPrimes {
		rest := remainder.Mod(n, group.product).Uint64()
		for _, p := range group.primes {
			r := rest % p.prime
			if r == 0 {
				return fmt.Errorf("%w: RSA modulus has the factor %d", ErrKeyRefused, p.prime)
			}
			roca = roca && p.powers[r]
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

// smallPrime is an odd prime, and which numbers below it are powers of 65537 modulo it.
type smallPrime struct {
	prime  uint64
	powers []bool
}

// primeGroup are primes whose product fits into one word: a long division finds
// the remainder by all of them.
type primeGroup struct {
	product *big.Int
	primes  []smallPrime
}

// smallPrimes are the odd ones up to 167, which the faulty library multiplies. They
// are looked for once: for each key that would cost as much as half a signature.
var smallPrimes = func() (list []primeGroup) {
	product := uint64(math.MaxUint64) // of a group that is full
	for p := uint64(3); p <= 167; p += 2 {
		if !new(big.Int).SetUint64(p).ProbablyPrime(0) { // exact for numbers this small
			continue
		}
		powers := make([]bool, p)
		for power := uint64(1); !powers[power]; power = power * 65537 % p {
			powers[power] = true
		}
		if product > math.MaxUint64/p {
			product = 1
			list = append(list, primeGroup{product: new(big.Int)})
		}
		product *= p
		group := &list[len(list)-1]
		group.product.SetUint64(product)
		group.primes = append(group.primes, smallPrime{p, powers})
	}
	return list
}()

func checkCurve(key *ecdsa.PublicKey) error {
	if key == nil || (key.Curve != elliptic.P256() && key.Curve != elliptic.P384()) {
		return fmt.Errorf("%w: its curve is not taken, want P-256 or P-384", ErrKeyRefused)
	}
	if _, err := key.ECDH(); err != nil { // not on its curve
		return fmt.Errorf("%w: no point on its curve", ErrKeyRefused)
	}
	return nil
}
