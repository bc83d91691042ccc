// Package agent is a phone in software: the client half of enrolment, SCEP and
// MDM, for rehearsals, probes and tests. It shares no protocol code with the
// server, so that two implementations meet in every test.
package agent
