package android

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/bounded"
)

func envelope(kind, data string) []byte {
	return fmt.Appendf(nil, `{"message":{"attributes":{"notificationType":%q},"data":%q,"messageId":"m-1","publishTime":"2026-11-22T09:00:00Z"},"subscription":"projects/p/subscriptions/s"}`,
		kind, base64.StdEncoding.EncodeToString([]byte(data)))
}

func TestParseNotification(t *testing.T) {
	t.Parallel()
	const operation = `{"name":"enterprises/E/devices/D1/operations/17","done":true,"response":{"@type":"type.googleapis.com/google.android.devicemanagement.v1.Command","type":"LOCK","createTime":"2026-11-22T09:00:00Z"}}`
	tests := []struct {
		name  string
		body  []byte
		check func(Notification) bool
		err   error
	}{
		{"enrolment", envelope("ENROLLMENT", personalPhone), func(n Notification) bool {
			return n.Kind == NotifiedEnrollment && n.Enterprise == "enterprises/E" && n.Phone.Ticket == "TICKET" && n.MessageID == "m-1" && n.Outcome == nil
		}, nil},
		{"status", envelope("STATUS_REPORT", personalPhone), func(n Notification) bool { return n.Kind == NotifiedStatus && !n.Phone.Deleted }, nil},
		{"deleted, in a status", envelope("STATUS_REPORT", `{"name":"enterprises/E/devices/D1","appliedState":"DELETED"}`), func(n Notification) bool { return n.Phone.Deleted }, nil},
		{"deleted, in an enrolment", envelope("ENROLLMENT", `{"name":"enterprises/E/devices/D1","state":"DELETED"}`), func(n Notification) bool { return n.Phone.Deleted }, nil},
		{"command", envelope("COMMAND", operation), func(n Notification) bool {
			return n.Kind == NotifiedCommand && n.Enterprise == "enterprises/E" && n.Outcome.Done && !n.Outcome.Failed && n.Phone == nil
		}, nil},
		{"usage logs", envelope("USAGE_LOGS", "{}"), func(n Notification) bool {
			return n.Kind == NotifiedOther && n.Type == "USAGE_LOGS" && n.Enterprise == ""
		}, nil},
		{"an upgrade", envelope("ENTERPRISE_UPGRADE", "{}"), func(n Notification) bool { return n.Kind == NotifiedOther }, nil},
		{"whatever comes next", envelope("SOMETHING_NEW", "\x00"), func(n Notification) bool { return n.Kind == NotifiedOther }, nil},
		{"a test of the topic", []byte(`{"message":{"attributes":{"notificationType":"TEST"}}}`), func(n Notification) bool { return n.Kind == NotifiedTest }, nil},

		{"empty", nil, nil, ErrNotification},
		{"no JSON", []byte("<xml>"), nil, ErrNotification},
		{"no message", []byte(`{"subscription":"s"}`), nil, ErrNotification},
		{"no type", []byte(`{"message":{"data":"e30="}}`), nil, ErrNotification},
		{"truncated base64", []byte(`{"message":{"attributes":{"notificationType":"ENROLLMENT"},"data":"eyJuYW1"}}`), nil, ErrNotification},
		{"no data", envelope("ENROLLMENT", ""), nil, ErrNotification},
		{"data that is no JSON", envelope("STATUS_REPORT", "x"), nil, ErrNotification},
		{"data of another form", envelope("STATUS_REPORT", `{"name": 5}`), nil, ErrNotification},
		{"more after the JSON", envelope("STATUS_REPORT", personalPhone+`{"name":"x"}`), nil, ErrNotification},
		{"a device of no name", envelope("STATUS_REPORT", `{}`), nil, ErrNotification},
		{"a device of a name that leads elsewhere", envelope("STATUS_REPORT", `{"name":"enterprises/E/devices/../../x"}`), nil, ErrNotification},
		{"an operation of no name", envelope("COMMAND", `{"done":true}`), nil, ErrNotification},
		{"10 MB", []byte(`{"message":"` + strings.Repeat("a", 10<<20) + `"}`), nil, bounded.ErrTooLarge},
		{"too much data", envelope("STATUS_REPORT", `{"name":"`+strings.Repeat("a", 600<<10)+`"}`), nil, bounded.ErrTooLarge},
		{"too deep", envelope("STATUS_REPORT", strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 40)), nil, bounded.ErrTooDeep},
		{"too deep outside", []byte(strings.Repeat(`[`, 200000)), nil, bounded.ErrTooDeep},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n, err := ParseNotification(test.body)
			if !errors.Is(err, test.err) || test.err == nil && (err != nil || !test.check(n)) {
				t.Errorf("got %+v, %v, want %v", n, err, test.err)
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	const name = `"name":"enterprises/E/devices/D/operations/1"`
	tests := []struct {
		name, operation string
		done, failed    bool
		text            string
		result          string
	}{
		{"under way", `{` + name + `,"metadata":{"type":"LOCK"}}`, false, false, "", ""},
		{"done", `{` + name + `,"done":true,"response":{"type":"LOCK"}}`, true, false, "", ""},
		{"refused by the phone", `{` + name + `,"done":true,"response":{"type":"REBOOT","errorCode":"MANAGEMENT_MODE"}}`, true, true, "(MANAGEMENT_MODE)", ""},
		{"an error of tomorrow", `{` + name + `,"done":true,"response":{"errorCode":"NEW"}}`, true, true, "(NEW)", ""},
		{"expired", `{` + name + `,"done":true,"error":{"code":4,"message":"x"}}`, true, true, "in time", ""},
		{"cancelled", `{` + name + `,"done":true,"error":{"code":1}}`, true, true, "cancelled", ""},
		{"an error of the operation", `{` + name + `,"done":true,"error":{"code":13,"message":"boom"}}`, true, true, "boom (code 13)", ""},
		{"data cleared", `{` + name + `,"done":true,"response":{"type":"CLEAR_APP_DATA","clearAppsDataStatus":{"results":{"com.google.android.gm":{"clearingResult":"SUCCESS"},"gone":{"clearingResult":"APP_NOT_FOUND"}}}}}`, true, false, "", ""},
		{"data not cleared", `{` + name + `,"done":true,"response":{"clearAppsDataStatus":{"results":{"b":{"clearingResult":"API_LEVEL"},"a":{"clearingResult":"APP_PROTECTED"}}}}}`, true, true, "a is protected and keeps its data (APP_PROTECTED); this version", ""},
		{"asked and told", `{` + name + `,"done":true,"response":{"type":"REQUEST_DEVICE_INFO","requestDeviceInfoStatus":{"status":"SUCCEEDED","eidInfo":{"eids":[{"eid":"8904"},{"eid":"8905"}]}}}}`, true, false, "", "EID 8904, EID 8905"},
		{"asked and declined", `{` + name + `,"done":true,"response":{"requestDeviceInfoStatus":{"status":"USER_DECLINED"}}}`, true, true, "declined", ""},
		{"a response of another kind", `{` + name + `,"done":true,"response":[1]}`, true, false, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n, err := ParseNotification(envelope("COMMAND", test.operation))
			if err != nil {
				t.Fatal(err)
			}
			o := *n.Outcome
			if o.Done != test.done || o.Failed != test.failed || !strings.Contains(o.Error, test.text) || (o.Error == "") == o.Failed || o.Result != test.result {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func FuzzParseNotification(f *testing.F) {
	f.Add(envelope("ENROLLMENT", personalPhone))
	f.Add(envelope("COMMAND", `{"name":"enterprises/E/devices/D1/operations/17","done":true,"response":{"clearAppsDataStatus":{"results":{"a":{}}}}}`))
	f.Add(envelope("STATUS_REPORT", `{"name":"enterprises/E/devices/D1","applicationReports":[null,{"keyedAppStates":[null]}],"nonComplianceDetails":[null]}`))
	f.Add([]byte(`{"message":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := ParseNotification(body)
		if err != nil {
			if !errors.Is(err, ErrNotification) && !errors.Is(err, bounded.ErrTooLarge) && !errors.Is(err, bounded.ErrTooDeep) {
				t.Fatalf("got %v", err)
			}
			return
		}
		known := n.Phone != nil || n.Outcome != nil
		if known != (n.Enterprise != "") || n.Phone != nil && (n.Phone.Device.UDID == "" || n.Phone.Ownership == "") {
			t.Fatalf("got %+v", n)
		}
		if _, err := json.Marshal(n); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkParseNotification is the share of one notification that is ours: what
// follows is a transaction.
func BenchmarkParseNotification(b *testing.B) {
	body := envelope("STATUS_REPORT", personalPhone)
	b.ReportAllocs()
	for range b.N {
		if _, err := ParseNotification(body); err != nil {
			b.Fatal(err)
		}
	}
}
