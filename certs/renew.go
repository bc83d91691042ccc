package certs

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// RenewalDue is when a certificate is to be renewed: window before its end,
// where 0 means a third of its life, and later by up to half of the window, by
// a share that follows from jitterKey alone: certificates that were issued in
// one hour are renewed over weeks, and each always at the same time. An empty
// jitterKey adds nothing.
func RenewalDue(notBefore, notAfter time.Time, window time.Duration, jitterKey string) time.Time {
	life := notAfter.Sub(notBefore)
	if window <= 0 || window > life {
		window = life / 3
	}
	due := notAfter.Add(-window)
	if jitterKey == "" {
		return due
	}
	sum := sha256.Sum256([]byte(jitterKey))
	share := time.Duration(binary.BigEndian.Uint16(sum[:])) // of 1<<16: no product overflows
	return due.Add(window / 2 / (1 << 16) * share)
}
