package config_test

import (
	"testing"
	"time"

	"sallyport/internal/config"
)

func FuzzParseSpan(f *testing.F) {
	for _, text := range []string{"30d", "1d12h", "0", "90m", "d", "-1h", "99999999999d", "106751d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := config.ParseSpan(text); d < 0 || err != nil && d != 0 {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	})
}

func TestSettingInDays(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{"SALLYPORT_WAKE_INTERVAL=1d12h"}, map[string]any{"renewal_window": "30d"})
	if err != nil || c.RenewalWindow != 30*24*time.Hour || c.WakeInterval != 36*time.Hour {
		t.Errorf("%v, %v, %v", c.RenewalWindow, c.WakeInterval, err)
	}
}
