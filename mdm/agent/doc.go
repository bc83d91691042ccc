// Package agent is a phone in software: the client half of enrolment, SCEP and
// MDM, for rehearsals, probes and tests, with stand-ins for Apple's push service
// and Google's Android Management API. It shares no protocol code with the
// server, so that two implementations meet in every test: plist, CMS and SCEP
// are read and written here by third-party libraries and the standard library,
// and of our own packages only leaves are imported.
//
// A Phone keeps what a phone keeps (its identifiers, facts that its owner can
// change, profiles, accounts, identities) in a directory, and writes every step
// there before the message that depends on it leaves: a server that dies is
// asked again with the same bytes, and a phone that dies continues where it was.
//
// A scenario takes New (or Load), Enroll and Connect; Set, AddAccount,
// RemoveAccount, RemoveProfile, NewToken, Backup, Restore and Unenroll are what an
// owner does; Play gives the phone a Script of what goes wrong; and Show tells
// what became of it, with a count of each command that was carried out. RunFleet
// runs many phones at once.
//
// With Options.As a Phone is an Android phone: it follows the enrolment page to a
// token, and from then on talks to an AMAPI, which stands in for Google's Android
// Management API in front of servers and phones alike.
//
// Unstable.
package agent
