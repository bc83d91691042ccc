// Package directory knows users, their groups, and the values that template
// variables take for a user. Users come from the CLI, the API or a CSV file.
// Leaf. Unstable.
package directory
