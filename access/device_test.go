package access_test

import (
	"encoding/json"
	"testing"

	"sallyport/access"
)

// A reader must not take a time that nobody told for one of the year 1.
func TestADeviceThatHasNotComeTellsNoTimes(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(access.Device{ID: "d1", UserID: "u1", Key: "dev1", Spellings: []string{"dev1"}})
	if want := `{"id":"d1","user_id":"u1","key":"dev1","spellings":["dev1"]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
