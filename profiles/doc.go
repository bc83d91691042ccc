// Package profiles describes one EAS account as an admin means it, with every
// variable already expanded, and validates it. Its sub-packages write it for a
// platform.
package profiles
