package agent

import "sync/atomic"

// tally counts over the phones of a fleet; a nil one counts nothing.
type tally struct {
	polls, commands, refused, accounts atomic.Int64
}

// polled: a round ended, the server has everything.
func (t *tally) polled() {
	if t != nil {
		t.polls.Add(1)
	}
}

func (t *tally) obeyed(o outcome) {
	if t == nil {
		return
	}
	t.commands.Add(1)
	t.accounts.Add(int64(len(o.events)))
	if o.status != statusAcknowledged && o.status != statusNotNow {
		t.refused.Add(1)
	}
}

// limit is how many commands a phone remembers.
func (t *tally) limit() int {
	if t != nil {
		return fleetLedger
	}
	return maxLedger
}
