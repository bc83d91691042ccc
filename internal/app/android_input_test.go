package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"sallyport/access"
	"sallyport/internal/audit"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// pkcs8 is a key as it stands in a service account's file.
func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// onRecord is all that notifications and keys could change, as it is shown.
func (c *client) onRecord(device string) string {
	c.t.Helper()
	return string(c.body(http.MethodGet, "/api/v1/android", nil)) + string(c.body(http.MethodGet, "/api/v1/devices", nil)) +
		string(c.body(http.MethodGet, "/api/v1/devices/"+device, nil))
}

func (c *client) audited(action string) []audit.Entry {
	c.t.Helper()
	var list adminapi.AuditEntries
	c.call(http.MethodGet, "/api/v1/audit?limit=1000&action="+action, "", nil, &list)
	return list.Entries
}

// TestBadServiceAccounts: none is taken, nothing of a key is repeated, and the one
// that the server has stays.
func TestBadServiceAccounts(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	_, id, eas := r.mailed(t)
	file, err := os.ReadFile(r.g.Account())
	must(t, err)
	var good map[string]any
	must(t, json.Unmarshal(file, &good))
	with := func(field string, value any) string {
		changed := maps.Clone(good)
		changed[field] = value
		if value == nil {
			delete(changed, field)
		}
		text, err := json.Marshal(changed)
		must(t, err)
		return string(text)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	secret, _ := good["private_key"].(string)
	cases := map[string]struct{ account, says string }{
		"nothing":         {"", "service account"},
		"no JSON":         {"BEGIN PRIVATE KEY", "is not the JSON"},
		"cut off":         {string(file[:len(file)/2]), "is not the JSON"},
		"an array":        {"[]", "is not the JSON"},
		"1 MB":            {with("client_id", strings.Repeat("1", 1<<20)), ""},
		"a user's own":    {with("type", "authorized_user"), "type"},
		"EC key":          {with("private_key", pkcs8(t, curve)), "no RSA key"},
		"short key":       {with("private_key", pkcs8(t, short)), "less than 2048"},
		"half a key":      {with("private_key", secret[:len(secret)/2]), "private_key"},
		"no PEM":          {with("private_key", "c2VjcmV0"), "no PEM"},
		"a number":        {with("private_key", 7), "is not the JSON"},
		"another project": {with("project_id", "somebody-elses"), "somebody-elses"},
		"strange address": {with("token_uri", "file:///etc/passwd"), "token_uri"},
		"line breaks":     {with("client_email", "a@b\r\nX: y"), "client_email"},
	}
	for _, part := range []string{"type", "project_id", "private_key_id", "private_key", "client_email", "token_uri"} {
		cases["without "+part] = struct{ account, says string }{with(part, nil), part}
		cases["empty "+part] = struct{ account, says string }{with(part, ""), part}
	}
	before := r.onRecord(id)
	for name, tt := range cases {
		body, err := json.Marshal(adminapi.AndroidSignupRequest{ServiceAccount: tt.account})
		must(t, err)
		status := r.call(http.MethodPost, "/api/v1/android/signup", "application/json", body, nil)
		answer := r.body(http.MethodPost, "/api/v1/android/signup", adminapi.AndroidSignupRequest{ServiceAccount: tt.account})
		if status < 400 || status >= 500 || !bytes.Contains(answer, []byte(tt.says)) {
			t.Errorf("%s: status %d, want a refusal that says %q: %.300s", name, status, tt.says, answer)
		}
		if bytes.Contains(answer, []byte("PRIVATE KEY-----\\nMII")) || bytes.Contains(answer, []byte("c2VjcmV0")) {
			t.Errorf("%s: the refusal repeats the key", name)
		}
	}
	if after := r.onRecord(id); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	if f := r.finding("google"); !f.OK {
		t.Errorf("doctor: %+v", f)
	}
	if refused := r.audited("android.signup"); len(refused) < len(cases) {
		t.Errorf("%d entries in the audit trail of %d refusals", len(refused), len(cases))
	}
	r.decided(alice, eas, access.Allow)
}

// TestBadNotifications: what comes to Google's address and is none of Google's, or
// none of our business, changes nothing.
func TestBadNotifications(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone, id, eas := r.mailed(t)
	must(t, phone.Connect(t.Context()))
	own := r.pubsub.next(t, "a report", posture("SECURE"))
	r.pubsub.deliver(t, own)
	name, _ := own.data["name"].(string)
	enterprise, _, _ := strings.Cut(name, "/devices/")
	device := func(name, more string) string { return inBase64(`{"name":"` + name + `"` + more + `}`) }
	const used = `,"state":"ACTIVE","enrollmentTokenData":"`
	ticket, _ := own.data["enrollmentTokenData"].(string)
	wrong := r.pubsub.to[:len(r.pubsub.to)-1] + map[bool]string{true: "A", false: "B"}[!strings.HasSuffix(r.pubsub.to, "A")]
	const (
		taken     = http.StatusNoContent
		malformed = http.StatusBadRequest
	)
	cases := map[string]struct {
		to     string // empty: the right address
		body   []byte
		status int
	}{
		"wrong secret":            {wrong, own.body, http.StatusNotFound},
		"no secret":               {r.pubsub.to[:strings.LastIndexByte(r.pubsub.to, '/')+1], own.body, http.StatusNotFound},
		"longer secret":           {r.pubsub.to + "A", own.body, http.StatusNotFound},
		"10 MB":                   {"", envelope("STATUS_REPORT", strings.Repeat("A", 10<<20)), http.StatusRequestEntityTooLarge},
		"too much data":           {"", envelope("STATUS_REPORT", inBase64(`{"name":"`+name+`","userName":"`+strings.Repeat("x", 600<<10)+`"}`)), malformed},
		"nothing":                 {"", nil, malformed},
		"no JSON":                 {"", []byte("hello"), malformed},
		"null":                    {"", []byte("null"), malformed},
		"cut off":                 {"", own.body[:len(own.body)/2], malformed},
		"no message":              {"", []byte(`{"subscription":"s"}`), malformed},
		"no type":                 {"", envelope("", device(name, "")), malformed},
		"truncated base64":        {"", envelope("STATUS_REPORT", device(name, "")[:21]), malformed},
		"no base64":               {"", envelope("STATUS_REPORT", "{}"), malformed},
		"empty data":              {"", envelope("STATUS_REPORT", ""), malformed},
		"data is no JSON":         {"", envelope("STATUS_REPORT", inBase64("hello")), malformed},
		"data is an array":        {"", envelope("ENROLLMENT", inBase64("[]")), malformed},
		"a name that is none":     {"", envelope("STATUS_REPORT", device("../../etc/passwd", "")), malformed},
		"deep data":               {"", envelope("STATUS_REPORT", inBase64(strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000))), malformed},
		"operation without name":  {"", envelope("COMMAND", inBase64(`{"done":true}`)), malformed},
		"unknown type":            {"", envelope("FIRE_ALARM", device(name, `,"state":"DELETED"`)), taken},
		"usage log":               {"", envelope("USAGE_LOGS", device(name, "")), taken},
		"test":                    {"", envelope("TEST", ""), taken},
		"unknown device":          {"", envelope("STATUS_REPORT", device(enterprise+"/devices/unknown", "")), taken},
		"unknown device, ticket":  {"", envelope("ENROLLMENT", device(enterprise+"/devices/unknown", used+`NOBODYS"`)), taken},
		"another's ticket":        {"", envelope("ENROLLMENT", device(enterprise+"/devices/thief", used+ticket+`"`)), taken},
		"DELETED, never met":      {"", envelope("STATUS_REPORT", device(enterprise+"/devices/unknown", `,"state":"DELETED"`)), taken},
		"DELETED at enrolment":    {"", envelope("ENROLLMENT", device(enterprise+"/devices/unknown", `,"appliedState":"DELETED","enrollmentTokenData":"`+ticket+`"`)), taken},
		"foreign enterprise":      {"", envelope("STATUS_REPORT", device(strings.Replace(name, enterprise, "enterprises/LCforeign", 1), `,"state":"DELETED"`)), taken},
		"foreign operation":       {"", envelope("COMMAND", inBase64(`{"name":"enterprises/LCforeign/devices/d/operations/1","done":true}`)), taken},
		"unknown operation":       {"", envelope("COMMAND", inBase64(`{"name":"`+name+`/operations/1","done":true}`)), http.StatusServiceUnavailable},
		"report without a moment": {"", envelope("STATUS_REPORT", device(name, `,"state":"ACTIVE"`)), taken},
	}
	before, audited, refused := r.onRecord(id), 0, len(r.audited("enrollment.enroll"))
	for what, tt := range cases {
		to := tt.to
		if to == "" {
			to = r.pubsub.to
		}
		if status := postTo(t, r.client, to, tt.body); status != tt.status {
			t.Errorf("%s: status %d, want %d", what, status, tt.status)
		}
		if tt.status == malformed {
			audited++
		}
	}
	if after := r.onRecord(id); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	if got := len(r.audited("android.notification")); got != audited {
		t.Errorf("%d entries on malformed notifications, want %d", got, audited)
	}
	if got := len(r.audited("enrollment.enroll")) - refused; got != 1 {
		t.Errorf("%d entries on a phone that came with another's ticket, want one", got)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		q, err := http.NewRequestWithContext(t.Context(), method, r.pubsub.to, nil)
		must(t, err)
		resp, err := r.http.Do(q)
		must(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
	r.decided(alice, eas, access.Allow)
	r.settles(t, phone, "a living server", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
}
