// Package accessapi is the part of the API that mailbox gates use: decisions,
// devices and their compliance. The JSON that passes the wire is exported. One
// decision travels as access.Client and access.Decision, one verdict as
// compliance.Verdict. Unstable; api/openapi.yaml is the contract.
package accessapi
