// Package wire reads what callers of the API send and writes what they get:
// JSON one way and strictly, pages, and bodies within their limits. Unstable.
package wire
