package agent

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	defaultTokenLife = time.Hour
	shortestToken    = time.Minute
	longestToken     = 100 * 365 * 24 * time.Hour // Google goes on to 10,000 years, Go to 292
	maxTokenData     = 1024
)

func tokenValue() string { return random("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 20) }

// extraToken is where a QR code carries the token.
const (
	extraBundle = "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE"
	extraToken  = "com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN"
)

// qrCode is the text of a QR code for the first screen of a phone that was reset
// (https://developers.google.com/android/management/provision-device#qr_code_method).
func qrCode(token string) string {
	text, err := json.Marshal(object{
		"android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME":            "com.google.android.apps.work.clouddpc/.receivers.CloudDeviceAdminReceiver",
		"android.app.extra.PROVISIONING_DEVICE_ADMIN_SIGNATURE_CHECKSUM":        "I5YvS0O5hXY46mb01BlRjq4oJJGs2kuUcHvVkAPEXlg",
		"android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": "https://play.google.com/managed/downloadManagingApp?identifier=setup",
		extraBundle: object{extraToken: token},
	})
	if err != nil {
		return "" // it is all text
	}
	return string(text)
}

// createToken follows enterprises.enrollmentTokens.create; what the server writes
// is not taken from the caller.
func (a *AMAPI) createToken(c *call) (object, *apiError) {
	e, no := a.own(c)
	if no != nil {
		return nil, no
	}
	for _, name := range []string{"name", "value", "qrCode", "expirationTimestamp", "user"} {
		if c.body[name] != nil {
			return nil, broken("enrollment_token."+name, "%s is written by the server alone, or deprecated.", name)
		}
	}
	life := defaultTokenLife
	if text := str(c.body, "duration"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < shortestToken || d > longestToken {
			return nil, broken("enrollment_token.duration", "Invalid duration: from 1 minute on.")
		}
		life = d
	}
	if utf8.RuneCountInString(str(c.body, "additionalData")) > maxTokenData {
		return nil, broken("enrollment_token.additional_data", "Additional data must be %d characters or less.", maxTokenData)
	}
	policy, no := a.policyName(c, str(c.body, "policyName"))
	if no != nil {
		return nil, no
	}
	if e.Policies[lastPart(policy)] == nil {
		return nil, broken("enrollment_token.policy_name", "The policy of the token is not there.")
	}
	expires := a.o.Now().Add(life)
	doc := clone(c.body)
	value := tokenValue()
	doc["name"], doc["policyName"] = c.enterprise()+"/enrollmentTokens/"+a.s.id(""), policy
	doc["value"], doc["qrCode"], doc["expirationTimestamp"] = value, qrCode(value), timestamp(expires)
	if doc["duration"] == nil {
		doc["duration"] = "3600s"
	}
	if doc["allowPersonalUsage"] == nil {
		doc["allowPersonalUsage"] = "PERSONAL_USAGE_ALLOWED"
	}
	a.s.Tokens[str(doc, "name")] = &enrolmentToken{Doc: doc, Enterprise: c.enterprise(), Expires: expires}
	return doc, nil
}

// lives reports whether a token can still enrol a device.
func (t *enrolmentToken) lives(now time.Time) bool { return !t.Used && now.Before(t.Expires) }

// partial is the view of get and list.
func (t *enrolmentToken) partial() object {
	out := object{}
	for _, name := range []string{"name", "expirationTimestamp", "allowPersonalUsage", "value", "qrCode"} {
		out[name] = t.Doc[name]
	}
	return out
}

func (a *AMAPI) token(c *call) (*enrolmentToken, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, no
	}
	t := a.s.Tokens[c.enterprise()+"/enrollmentTokens/"+c.parts[1]]
	if t == nil {
		return nil, missing("enrollment token")
	}
	return t, nil
}

func (a *AMAPI) getToken(c *call) (object, *apiError) {
	t, no := a.token(c)
	if no != nil {
		return nil, no
	}
	if !t.lives(a.o.Now()) {
		return nil, missing("enrollment token")
	}
	return t.partial(), nil
}

func (a *AMAPI) listTokens(c *call) (object, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, no
	}
	var names []string
	for name, t := range a.s.Tokens {
		if t.Enterprise == c.enterprise() && t.lives(a.o.Now()) {
			names = append(names, name)
		}
	}
	some, next := page(names, c.size(), c.query.Get("pageToken"))
	out := []any{}
	for _, name := range some {
		out = append(out, a.s.Tokens[name].partial())
	}
	return object{"enrollmentTokens": out, "nextPageToken": next}, nil
}

func (a *AMAPI) deleteToken(c *call) (object, *apiError) {
	t, no := a.token(c)
	if no != nil {
		return nil, no
	}
	delete(a.s.Tokens, str(t.Doc, "name"))
	return object{}, nil
}

func (a *AMAPI) getProvisioning(c *call) (object, *apiError) {
	p := a.s.Provisioning["provisioningInfo/"+c.parts[0]]
	if p == nil {
		return nil, missing("provisioning info")
	}
	return p.Doc, nil
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
