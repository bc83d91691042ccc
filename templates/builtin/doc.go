// Package builtin holds templates to begin with, one YAML file each: copy one,
// change the names, apply it. Unstable.
package builtin
