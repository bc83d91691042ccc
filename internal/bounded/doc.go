// Package bounded is the only door for plist and DER bytes from outside: size
// and depth are checked before any parser runs. Leaf. Unstable.
package bounded
