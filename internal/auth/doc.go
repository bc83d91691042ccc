// Package auth knows who may call the API: bearer tokens with a role, an owner
// and an expiry. Leaf. Unstable.
package auth
