// Package secret holds values that never print, and the seal that keeps them
// closed at rest: AES-256-GCM under a key-encryption key, bound to the table,
// row and column that a value was written for. Leaf. Unstable.
package secret
