// Package api holds the contract of the HTTP interface, OpenAPI 3.1. Leaf.
// Unstable until release 1.0.
package api

import _ "embed"

// OpenAPI is openapi.yaml, as served at /api/v1/openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte
