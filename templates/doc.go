// Package templates holds EAS templates: a mail profile as an admin writes it,
// with %variables%, in immutable revisions; and renders it for one user.
package templates
