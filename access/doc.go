// Package access answers one question: may this mail client read this
// mailbox? It binds an EAS DeviceId to an enrolment, reads that enrolment's
// verdict, and gives a decision with its reasons.
package access
