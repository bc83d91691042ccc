// Package scep answers SCEP (RFC 8894): GetCACaps, GetCACert and PKIOperation
// with PKCSReq and RenewalReq. It takes and gives bytes, no HTTP. Messages are parsed by
// smallstep/scep behind our own bounds; replies are our own (ADR 0003).
package scep
