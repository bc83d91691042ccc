// Package openssltest runs OpenSSL, the other implementation of CMS, for tests.
// Only test files may import it. Leaf. Unstable.
package openssltest
