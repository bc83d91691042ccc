package main

import (
	"strings"
	"testing"
	"time"

	"sallyport/access"
)

func TestWebhookCheck(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	w := access.Webhook{ID: "h1", URL: "https://siem.example.com/key-in-path"}
	failing, disabled, due := w, w, w
	failing.FailingSince, failing.NextAt, failing.Trouble = now.Add(-time.Hour), now.Add(time.Minute), "the receiver answered 502 Bad Gateway"
	due.FailingSince = now.Add(-time.Hour)
	disabled.DisabledAt, disabled.FailingSince = now, now
	tests := []struct {
		name       string
		w          access.Webhook
		fact, next string
	}{
		{name: "well", w: w},
		{"failing", failing, "takes nothing since 2026-11-22 08:00:00Z: the receiver answered 502 Bad Gateway; next attempt 2026-11-22 09:01:00Z", "sallyport webhook test h1"},
		{"due", due, "nobody knows why; next attempt at once", "webhook test"},
		{"disabled", disabled, "disabled since 2026-11-22 09:00:00Z", "sallyport webhook enable h1"},
	}
	for _, tt := range tests {
		c, bad := webhookCheck(tt.w, now)
		if bad != (tt.fact != "") || !strings.Contains(c.Fact, tt.fact) || !strings.Contains(c.Next, tt.next) || c.Name != "webhook siem.example.com" || strings.Contains(c.Fact+c.Next, "key-in-path") {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
}
