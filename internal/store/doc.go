// Package store holds all SQL and satisfies every room's storage interface.
// One method is one transaction and one named unit of work. Unstable.
package store
