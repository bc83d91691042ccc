// Package notifytest is a mail server for tests: strict, on loopback, and it
// remembers what it took. Tests only.
package notifytest
