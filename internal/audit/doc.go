// Package audit is the append-only trail of security acts: who did what to
// whom, when, and how it ended. Rooms make the entry, the store writes it in
// the transaction of the act itself. Leaf. Unstable.
package audit
