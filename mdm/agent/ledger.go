package agent

// How many commands a phone remembers: far more than a server has under way, and
// little enough to be written with every step, or kept a thousand times in memory.
const (
	maxLedger   = 4096
	fleetLedger = 128
)

// ledger counts what a phone carried out, by CommandUUID. It is written with
// what the command changed, in one write, so that a phone that was killed
// cannot have done more than it counts. It belongs to the tester: neither a
// restored backup nor EraseDevice resets it.
type ledger struct {
	Entries  []Execution `json:"entries,omitempty"` // oldest first
	Total    int         `json:"total,omitempty"`
	Repeated int         `json:"repeated,omitempty"` // of Total, those of a command that was carried out before
}

// Execution is a command that a phone carried out, or refused for good. What it
// put off (NotNow) is not one.
type Execution struct {
	CommandUUID string `json:"command_uuid"`
	RequestType string `json:"request_type"`
	Status      string `json:"status"` // of the last time
	Times       int    `json:"times"`  // 1, unless the server sent it again after it had been answered
}

// add counts one execution and forgets the oldest of more than limit commands.
func (l *ledger) add(id, request, status string, limit int) {
	l.Total++
	for i := range l.Entries {
		if l.Entries[i].CommandUUID == id {
			l.Entries[i].Times++
			l.Entries[i].Status = status
			l.Repeated++
			return
		}
	}
	l.Entries = append(l.Entries, Execution{CommandUUID: id, RequestType: request, Status: status, Times: 1})
	if over := len(l.Entries) - limit; over > 0 {
		l.Entries = append([]Execution(nil), l.Entries[over:]...)
	}
}
