// Package adminapi is the part of the API that people and their command line
// use: users, templates, policies, invitations, tokens, the trail, backup. The
// JSON that passes the wire is exported, so that the command line speaks
// exactly what the server does. Unstable; api/openapi.yaml is the contract.
package adminapi
