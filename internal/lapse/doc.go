// Package lapse says how near the end of a certificate is, in the one scale by
// which this program warns: 60, 30 and 7 days. Leaf. Unstable.
package lapse
