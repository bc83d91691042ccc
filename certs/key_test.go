package certs_test

import (
	"crypto"
	//lint:ignore SA1019 to see it refused
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"sallyport/certs"
)

// primorial is the product of the primes up to 167.
func primorial() *big.Int {
	m := big.NewInt(2)
	for p := int64(3); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	return m
}

// modulus is a number of so many bits that no small prime divides.
func modulus(bits int) *big.Int {
	m, one := primorial(), big.NewInt(1)
	for {
		n := must(rand.Int(rand.Reader, new(big.Int).Lsh(one, uint(bits))))
		n.SetBit(n, bits-1, 1)
		if new(big.Int).GCD(nil, nil, n, m).Cmp(one) == 0 {
			return n
		}
	}
}

// rocaModulus has the form of CVE-2017-15361: a power of 65537 modulo every
// small prime; (65537^a mod M) + k*M with M the product of those primes.
func rocaModulus() *big.Int {
	m := primorial()
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), m)
	k := new(big.Int).Lsh(big.NewInt(1), uint(2048-m.BitLen()))
	return n.Add(n, k.Mul(k, m))
}

// multipleOf is an odd multiple of p next to n.
func multipleOf(n *big.Int, p int64) *big.Int {
	m := new(big.Int).Sub(n, new(big.Int).Mod(n, big.NewInt(p)))
	if m.Bit(0) == 0 {
		m.Add(m, big.NewInt(p))
	}
	return m
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	good := phoneKey().PublicKey
	even := new(big.Int).Sub(good.N, big.NewInt(1))
	offCurve := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).PublicKey
	//lint:ignore SA1019 an invalid point cannot be made otherwise
	offCurve.Y = new(big.Int).Add(offCurve.Y, big.NewInt(1))
	edwards, _, _ := ed25519.GenerateKey(rand.Reader)
	tests := []struct {
		name string
		key  crypto.PublicKey
		ok   bool
	}{
		{"RSA 2048", &good, true},
		{"RSA 3072", &rsa.PublicKey{N: modulus(3072), E: 65537}, true},
		{"RSA 4096", &rsa.PublicKey{N: modulus(4096), E: 65537}, true},
		{"RSA with a larger odd exponent", &rsa.PublicKey{N: good.N, E: 65539}, true},
		{"P-256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public(), true},
		{"P-384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public(), true},
		{"RSA 512", &rsa.PublicKey{N: modulus(512), E: 65537}, false},
		{"RSA 1024", &rsa.PublicKey{N: modulus(1024), E: 65537}, false},
		{"RSA 2047", &rsa.PublicKey{N: new(big.Int).Rsh(good.N, 1), E: 65537}, false},
		{"RSA 4097", &rsa.PublicKey{N: new(big.Int).Lsh(modulus(4096), 1), E: 65537}, false},
		{"RSA 8192", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8191), E: 65537}, false},
		{"RSA e=1", &rsa.PublicKey{N: good.N, E: 1}, false},
		{"RSA e=3", &rsa.PublicKey{N: good.N, E: 3}, false},
		{"RSA e=65536", &rsa.PublicKey{N: good.N, E: 65536}, false},
		{"RSA e=65538", &rsa.PublicKey{N: good.N, E: 65538}, false},
		{"RSA e=-65537", &rsa.PublicKey{N: good.N, E: -65537}, false},
		{"RSA even modulus", &rsa.PublicKey{N: even, E: 65537}, false},
		{"RSA modulus by 3", &rsa.PublicKey{N: multipleOf(good.N, 3), E: 65537}, false},
		{"RSA modulus by 163", &rsa.PublicKey{N: multipleOf(good.N, 163), E: 65537}, false},
		{"RSA modulus by 167", &rsa.PublicKey{N: multipleOf(good.N, 167), E: 65537}, false},
		{"RSA no modulus", &rsa.PublicKey{E: 65537}, false},
		{"RSA ROCA", &rsa.PublicKey{N: rocaModulus(), E: 65537}, false},
		{"P-224", must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).Public(), false},
		{"P-521", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).Public(), false},
		{"P-256 off the curve", &offCurve, false},
		{"Ed25519", edwards, false},
		{"DSA", &dsa.PublicKey{}, false},
		{"none", nil, false},
	}
	for _, tt := range tests {
		err := certs.CheckKey(tt.key)
		if tt.ok && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !tt.ok && !errors.Is(err, certs.ErrKeyRefused) {
			t.Errorf("%s: got %v, want ErrKeyRefused", tt.name, err)
		}
	}
}
