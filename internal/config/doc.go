// Package config reads settings: flags over SALLYPORT_… variables over a YAML
// file. Unknown keys are errors; secrets never print. Leaf. Unstable.
package config
