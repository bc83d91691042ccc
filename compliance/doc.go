// Package compliance turns a device's report, and what we expect of it, into a
// verdict with a reason for each rule. Evaluation is pure: no clock, no
// storage, no network.
package compliance
