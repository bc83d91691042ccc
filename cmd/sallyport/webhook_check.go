package main

import (
	"cmp"
	"context"
	"net/url"
	"time"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
)

// webhookChecks are the doctor's look at webhooks: a line for each that takes nothing.
func webhookChecks(ctx context.Context, api *client, now time.Time) []check {
	var out accessapi.Webhooks
	if err := api.get(ctx, webhooksPath, nil, &out); err != nil {
		return []check{{"webhooks", broken, err.Error(), "look at the server's log"}}
	}
	var checks []check
	for _, w := range out.Webhooks {
		if c, bad := webhookCheck(w, now); bad {
			checks = append(checks, c)
		}
	}
	return checks
}

func webhookCheck(w access.Webhook, now time.Time) (c check, bad bool) {
	c = check{Name: "webhook " + hostOf(w.URL), Grade: warn}
	trouble := cmp.Or(w.Trouble, "nobody knows why")
	switch {
	case !w.DisabledAt.IsZero():
		c.Fact = "disabled since " + stamp(w.DisabledAt) + ", as it took nothing for days: " + trouble
		c.Next = "mend the receiver, then: sallyport webhook enable " + w.ID + "; what happened meanwhile it reads from GET /api/v1/compliance"
	case !w.FailingSince.IsZero():
		c.Fact = "takes nothing since " + stamp(w.FailingSince) + ": " + trouble + "; next attempt " + attemptAt(w.NextAt, now)
		c.Next = "mend the receiver, then: sallyport webhook test " + w.ID + "; after 5 days without success it is disabled"
	default:
		return c, false
	}
	return c, true
}

func attemptAt(next, now time.Time) string {
	if !next.After(now) {
		return "at once"
	}
	return stamp(next)
}

// hostOf is what of an address is for everybody to see: paths hold keys.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}
