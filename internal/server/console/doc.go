// Package console serves the pages for admins: devices with verdict and decision,
// one device with its whole trace, and the preview of templates. They show what
// the API tells the same token, and change nothing. There is no script.
//
// An admin pastes a token into a form once. It is checked as the API checks it,
// and thrown away; the browser keeps the key of a session, in a cookie that only
// this host gets over TLS. Sessions live in the memory of one process: a restart,
// or another server of the same fleet, asks for the token again. Unstable.
package console
