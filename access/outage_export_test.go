package access

import "time"

// Base is the moment from which the engine counts all its times.
func (e *Engine) Base() time.Time { return e.base }
