// Package app wires configuration to rooms to servers, and closes them again.
// It is the only room that knows all the others. Unstable.
package app
