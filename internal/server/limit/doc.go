// Package limit bounds how often a caller may come: a rate for each key (an
// address, a code) and one for all keys together, in a map that cannot grow
// without bound. Unstable.
package limit
