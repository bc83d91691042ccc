package lapse_test

import (
	"testing"
	"time"

	"sallyport/internal/lapse"
)

func TestStages(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]lapse.Stage{
		300 * day: lapse.Fine, 60*day + 1: lapse.Fine, 60 * day: lapse.Days60, 30*day + 1: lapse.Days60,
		30 * day: lapse.Days30, 7*day + 1: lapse.Days30, 7 * day: lapse.Days7, 1: lapse.Days7, 0: lapse.Expired, -day: lapse.Expired,
	} {
		if got := lapse.At(now.Add(left), now); got != want {
			t.Errorf("%s left: %s, want %s", left, got, want)
		}
	}
	for left, want := range map[time.Duration]int{7 * day: 7, 7*day - 1: 6, 1: 0, 0: 0, -30 * day: 0} {
		if got := lapse.DaysLeft(now.Add(left), now); got != want {
			t.Errorf("%s left: %d days, want %d", left, got, want)
		}
	}
}
