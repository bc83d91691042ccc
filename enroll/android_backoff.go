package enroll

import (
	"errors"
	"math/rand/v2"
	"time"

	"sallyport/mdm/android"
)

// androidBackOff is the time to wait after a call to Google that failed, when so
// many failed before it: as long as Google asked for, or 1, 2, 4 … minutes up to
// 6 hours less up to a quarter, so that phones do not come back in one wave.
func androidBackOff(failures int, err error) time.Duration {
	if problem := (*android.Problem)(nil); errors.As(err, &problem) && problem.After > 0 {
		return min(problem.After, lastPause)
	}
	d := lastPause
	if failures < 9 {
		d = min(firstPause<<max(failures, 0), lastPause)
	}
	return d - rand.N(d/4).Truncate(time.Millisecond)
}
