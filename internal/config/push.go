package config

import (
	"net/url"
	"time"
)

const (
	minWakeInterval = 15 * time.Minute // a phone that is asked all the time has no battery left
	maxWakeInterval = 30 * 24 * time.Hour
)

func checkPush(refuse func(key, reason, remedy string), c Config) {
	u, err := url.Parse(c.APNsURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		refuse("apns_url", "is not https://HOST or https://HOST:PORT", "leave it out for Apple's: "+Default().APNsURL)
	}
	if u, err := url.Parse(c.AMAPIURL); c.AMAPIURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		refuse("amapi_url", "is not http(s)://HOST:PORT", "leave it out for Google's")
	}
	if c.WakeInterval != 0 && (c.WakeInterval < minWakeInterval || c.WakeInterval > maxWakeInterval) {
		refuse("wake_interval", "must be 0, or between 15m and 720h", "4h is a good value; 0 wakes no phone for its silence")
	}
}
