// Package work runs what happens behind the requests: it drains the outbox for
// each consumer, with a wake-up after every commit, and calls periodic steps.
// Rooms give it a Step; it owns the goroutines. Leaf. Unstable.
package work
