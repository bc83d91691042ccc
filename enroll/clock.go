package enroll

import (
	"log/slog"
	"time"
)

// moment is the time by a service's clock, nil meaning time.Now, in the precision
// that the store keeps.
func moment(now func() time.Time) time.Time {
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

// logger is a service's log, nil meaning none.
func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
