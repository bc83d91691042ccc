// Package appleschema reads Apple's published device-management schema and
// checks property lists against it, as iOS would: required keys, types,
// ranges, formats, unknown keys, references. It is for tests only; no program
// links it, and the schema itself is not part of this repository. Leaf.
// Unstable.
package appleschema
