// Package deviceapi serves phones and their owners: the enrolment pages, the
// enrolment profile, SCEP and Apple's MDM. What they prove stands in the
// message itself (a code, a challenge, a signature), never in a token.
//
// Trouble on /mdm is 400 or 503 and nothing else: a phone that is answered 401
// removes itself from management (architecture rule 10). The one other answer
// there, a 403 with a code of Apple's, is for a phone that an admin has retired.
// Unstable.
package deviceapi
