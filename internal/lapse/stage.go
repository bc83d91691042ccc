package lapse

import "time"

// Stage is how near an end is.
type Stage string

const (
	Fine    Stage = "fine"
	Days60  Stage = "60_days" // renew it
	Days30  Stage = "30_days" // renew it this week
	Days7   Stage = "7_days"  // renew it today
	Expired Stage = "expired"
)

const day = 24 * time.Hour

// At tells the stage at now of what ends at end.
func At(end, now time.Time) Stage {
	switch left := end.Sub(now); {
	case left <= 0:
		return Expired
	case left <= 7*day:
		return Days7
	case left <= 30*day:
		return Days30
	case left <= 60*day:
		return Days60
	}
	return Fine
}

// DaysLeft is how many whole days are left; none after the end.
func DaysLeft(end, now time.Time) int { return max(0, int(end.Sub(now)/day)) }
