// Package eas reads what a mail client says of itself in an Exchange ActiveSync
// request: the query in its plain and in its base64 form (MS-ASHTTP, section
// 2.2.1.1.1), and the headers that go with it. One request has one reading here,
// or none: what two servers could read in two ways is refused. Unstable.
package eas
