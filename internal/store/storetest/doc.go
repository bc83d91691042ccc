// Package storetest is the contract of internal/store as a test suite: every
// sentence on the rooms' storage interfaces, on whatever engine the database
// runs. Only tests import it. Unstable.
package storetest
