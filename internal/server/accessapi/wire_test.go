package accessapi

import (
	"testing"

	"sallyport/enroll"
	"sallyport/mdm"
)

// A phone tells its name with its facts, seldom when it enrols; the newest counts.
func TestNameComesFromTheReport(t *testing.T) {
	var row enroll.DeviceRow
	row.Device.Name = "old"
	if got := deviceOf(row).Name; got != "old" {
		t.Errorf("without facts: %q", got)
	}
	row.Report.Device = &mdm.DeviceFacts{}
	if got := deviceOf(row).Name; got != "old" {
		t.Errorf("facts without a name: %q", got)
	}
	row.Report.Device.Name = "Alice’s iPhone"
	if got := deviceOf(row).Name; got != "Alice’s iPhone" {
		t.Errorf("with facts: %q", got)
	}
}
