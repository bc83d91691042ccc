package deviceapi

import (
	"strings"

	"sallyport/internal/web"
)

// otherApps are what browsers on iOS other than Safari, and apps that show
// pages themselves, put into their User-Agent beside Safari's own words.
// Firefox and DuckDuckGo save a profile as a file instead of installing it
// (mozilla-mobile/firefox-ios#25476, duckduckgo/iOS#830).
var otherApps = [...]string{
	"CriOS/", "FxiOS/", "Focus/", "EdgiOS/", "DuckDuckGo/", "Ddg/", "OPiOS/", "OPT/", "OPX/", "GSA/", "YaBrowser/", "Brave/", "Vivaldi/",
	"FBAN/", "FBAV/", "Instagram", "Line/", "Snapchat", "LinkedInApp", "MicroMessenger/", "Teams/",
}

// kindOf tells from a User-Agent which form of the page helps its reader. An
// iPad in its default setting says that it is a Macintosh: a Macintosh gets the
// desktop form with the download.
func kindOf(userAgent string) web.Kind {
	switch {
	case has(userAgent, "iPhone", "iPad", "iPod"):
		if has(userAgent, otherApps[:]...) || !strings.Contains(userAgent, "Safari/") {
			return web.OtherBrowser
		}
		return web.IPhone
	case has(userAgent, "Android"):
		return web.Android
	}
	return web.Desktop
}

func has(s string, words ...string) bool {
	for _, word := range words {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
