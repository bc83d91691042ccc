// Package refusal is the one form in which Sallyport says no to something
// that came from outside: it names the field, the reason and the remedy, and
// wraps the room's own sentinel so that callers can use errors.Is.
//
// It is a leaf: every room may import it. Unstable.
package refusal
