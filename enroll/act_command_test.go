package enroll

import "testing"

// TestOwnWordsAskNothing: an answer to DeviceInformation with few names, or to a
// list of managed items alone, reads like a whole one. Taken into the report it
// would make the phone forget its ActiveSync DeviceId.
func TestOwnWordsAskNothing(t *testing.T) {
	t.Parallel()
	h, _ := configured(t)
	for _, name := range queries() {
		body := []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>RequestType</key><string>` + name +
			`</string><key>Queries</key><array><string>OSVersion</string></array></dict></plist>`)
		_, refused := h.enroll.parseRaw(body)
		if len(refused) != 1 || refused[0].Field != "raw" || refused[0].Remedy != "order the act query instead" {
			t.Errorf("%s in an admin's own words: refused with %v, want the act query instead", name, refused)
		}
	}
}
