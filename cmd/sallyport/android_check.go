package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/enroll"
	"sallyport/profiles/managedconfig"
)

// Ages at which what comes from Google is late.
const (
	// quietAtMost is two nights: a phone that is switched on reports every day.
	quietAtMost = 48 * time.Hour
	// behindAtMost is a round of the list of devices, which finds by itself what no
	// notification has told, and some.
	behindAtMost = 2 * time.Hour
	schemaAtMost = 72 * time.Hour // Google is asked once a day
)

// androidChecks say how the server stands with Google. Nobody at Google is asked:
// that is sallyport android doctor.
func androidChecks(ctx context.Context, api *client, now time.Time) []check {
	const name = "android"
	var s enroll.AndroidStatus
	if err := api.get(ctx, "/api/v1/android", nil, &s); err != nil {
		return []check{{name, broken, err.Error(), "look at the server's log"}}
	}
	switch {
	case s.Enterprise == "" && s.SignupOpen:
		return []check{{name, gap, "a sign-up at Google is under way", "open the page that android signup printed, or run it again"}}
	case s.Enterprise == "":
		return []check{{name, gap, "not signed up at Google: Android phones set up mail by hand", "sallyport android signup --service-account FILE; docs/android.md"}}
	}
	first := check{name, good, fmt.Sprintf("%s of project %s; phones: %d", s.Enterprise, s.Project, s.Phones.Active), ""}
	if !s.SetUp {
		first.Grade, first.Fact = warn, first.Fact+"; Google has not taken topic, sign-in page and base policy yet"
		first.Next = "sallyport android doctor"
	}
	return []check{first, notifiedCheck(s, now), providedCheck(s), schemasCheck(s, now)}
}

// notifiedCheck tells whether Google's notifications arrive.
func notifiedCheck(s enroll.AndroidStatus, now time.Time) check {
	c := check{Name: "android notifications", Grade: good, Fact: "Google told of something last " + stamp(s.NotifiedAt)}
	if s.NotifiedAt.IsZero() {
		c.Fact = "none of Google's has come yet"
	}
	silent := now.Sub(cmp.Or(s.NotifiedAt, s.FinishedAt))
	switch {
	case s.Phones.ReportedAt.Sub(s.NotifiedAt) > behindAtMost:
		c.Grade, c.Fact = warn, c.Fact+"; phones have reported since ("+stamp(s.Phones.ReportedAt)+"), which the hourly list of devices has shown"
	case s.Phones.Active > 0 && silent > quietAtMost, s.NotifiedAt.IsZero():
		c.Grade, c.Fact = warn, c.Fact+fmt.Sprintf("; silent for %s", shortly(silent))
	default:
		return c
	}
	c.Next = "see at Pub/Sub whether topic " + s.Topic + " has a push subscription, and what this server answers it; docs/android.md"
	return c
}

// providedCheck tells of phones that do not have what they should have.
func providedCheck(s enroll.AndroidStatus) check {
	c := check{Name: "android phones", Grade: good, Fact: fmt.Sprintf("%d wait for their policy", s.Phones.Due)}
	if s.Phones.Failing+s.Phones.Left == 0 {
		return c
	}
	c.Grade = warn
	c.Fact = fmt.Sprintf("%d are not provided for, and tried again; %d keep the policy that they have; the newest reason, %s", s.Phones.Failing, s.Phones.Left, trouble(s.Phones))
	c.Next = "all reasons: sallyport android doctor"
	return c
}

// trouble is what went wrong last with a phone, and when.
func trouble(s enroll.AndroidState) string {
	if s.NewestError == "" {
		return "none"
	}
	return stamp(s.FailedAt) + ": " + s.NewestError
}

// schemasCheck tells which mail apps are known from Google.
func schemasCheck(s enroll.AndroidStatus, now time.Time) check {
	c := check{Name: "android mail apps", Grade: good, Fact: "which settings they read is told by " + schemasFact(s, now)}
	stale := len(s.Schemas) == 0
	for _, at := range s.Schemas {
		stale = stale || now.Sub(at) > schemaAtMost
	}
	if stale {
		c.Grade, c.Next = warn, "approve the mail app in managed Google Play; Google is asked every hour, and the server's log says what it answers"
	}
	return c
}

// schemasFact names, for each mail app, who tells which settings it reads.
func schemasFact(s enroll.AndroidStatus, now time.Time) string {
	var list []string
	for _, app := range managedconfig.Apps() {
		at, known := s.Schemas[app]
		switch {
		case known:
			list = append(list, fmt.Sprintf("%s itself, %s ago", app, shortly(now.Sub(at))))
		case app == managedconfig.AppGmail || app == managedconfig.AppOutlook:
			list = append(list, fmt.Sprintf("a built-in table (%s)", app))
		default:
			list = append(list, fmt.Sprintf("nobody (%s: its mail is not set up)", app))
		}
	}
	return strings.Join(list, "; ")
}

// shortly says roughly how long something took.
func shortly(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.of; {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "less than a minute"
}
