// Package certs is the certificate authority: root and issuing keys, the RSA
// registration authority that speaks SCEP, issuance rules, grants and one-time
// challenges. A certificate's subject, names, usage and validity come from a
// rule and a grant, never from a request.
package certs
