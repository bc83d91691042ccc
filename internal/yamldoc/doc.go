// Package yamldoc reads the YAML documents that admins write: strictly, with
// every fault named by field, line and column. Unknown and double keys,
// aliases, empty values and a second document are refused. Leaf. Unstable.
package yamldoc
