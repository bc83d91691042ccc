// Package cms is the one place that touches a PKCS#7 library: it signs,
// verifies at our own time, encrypts, decrypts, and builds SCEP replies in the
// client's cipher. Leaf. Unstable.
package cms
