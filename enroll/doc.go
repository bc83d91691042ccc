// Package enroll leads a phone from an invitation to a working mailbox:
// invitations, the enrolment profile, admission, what each device should have,
// and its delivery.
package enroll
