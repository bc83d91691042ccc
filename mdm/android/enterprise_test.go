package android

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/mdm"
)

func ours() Enterprise {
	return Enterprise{
		DisplayName: "Example", Topic: "projects/p/topics/t", Notifications: NotificationTypes(),
		SignIn: []SignIn{{URL: "https://mail.example.test/android/signin", Personal: true, Tag: "sallyport"}},
	}
}

func TestSignup(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.does("POST /v1/signupUrls", func(w http.ResponseWriter, q url.Values, _ string) {
		if q.Get("projectId") != "project" || q.Get("callbackUrl") != "https://mail.example.test/android/callback?state=s" {
			t.Errorf("got %v", q)
		}
		fmt.Fprint(w, `{"name":"signupUrls/S","url":"https://play.google.com/x"}`)
	})
	name, page, err := g.client().SignupURL(t.Context(), "https://mail.example.test/android/callback?state=s")
	if err != nil || name != "signupUrls/S" || page != "https://play.google.com/x" {
		t.Errorf("got %q, %q, %v", name, page, err)
	}
	const answer = `{"name":"enterprises/E","enterpriseDisplayName":"Example","pubsubTopic":"projects/p/topics/t",
		"enabledNotificationTypes":["ENROLLMENT","STATUS_REPORT","COMMAND"],"signinDetails":[null,{"signinUrl":"https://mail.example.test/android/signin",
		"allowPersonalUsage":"PERSONAL_USAGE_ALLOWED","tokenTag":"sallyport","signinEnrollmentToken":"T1","qrCode":"{\"x\":1}"}]}`
	g.does("POST /v1/enterprises", func(w http.ResponseWriter, q url.Values, body string) {
		if q.Get("signupUrlName") != "signupUrls/S" || q.Get("enterpriseToken") != "T" || q.Get("projectId") != "project" {
			t.Errorf("got %v", q)
		}
		checkAgainstDiscovery(t, "Enterprise", []byte(body))
		fmt.Fprint(w, answer)
	})
	e, err := g.client().CreateEnterprise(t.Context(), "signupUrls/S", "T", ours())
	want := ours()
	want.Name, want.SignIn[0].Token, want.SignIn[0].QR = "enterprises/E", "T1", `{"x":1}`
	if diff := cmp.Diff(want, e); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if link := e.SignIn[0].Link(); link != "https://enterprise.google.com/android/enroll?et=T1" {
		t.Errorf("link %q", link)
	}
	g.does("PATCH /v1/enterprises/E", func(w http.ResponseWriter, q url.Values, body string) {
		if strings.Contains(body, "T1") || q.Get("updateMask") != "enterpriseDisplayName,pubsubTopic,enabledNotificationTypes,signinDetails" || !strings.Contains(body, "PERSONAL_USAGE_ALLOWED") {
			t.Errorf("got %v %s", q, body)
		}
		fmt.Fprint(w, answer)
	})
	if e, err = g.client().PatchEnterprise(t.Context(), want); err != nil || e.Name != want.Name {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	const route = "POST /v1/enterprises/E/enrollmentTokens"
	g.answers(route, `{"name":"enterprises/E/enrollmentTokens/1","value":"VALUE","qrCode":"{\"x\":1}","expirationTimestamp":"2026-11-22T10:00:00Z"}`)
	token, err := g.client().CreateToken(t.Context(), "enterprises/E", TokenRequest{Policy: BasePolicyID, Ticket: "ticket", Personal: true, TTL: time.Hour})
	if err != nil || token.Name != "enterprises/E/enrollmentTokens/1" || token.Link().Reveal() != "https://enterprise.google.com/android/enroll?et=VALUE" ||
		token.QR.Reveal() != `{"x":1}` || !token.ExpiresAt.Equal(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v, %v", token, err)
	}
	if text := fmt.Sprintf("%+v %s", token, token.Link()); strings.Contains(text, "VALUE") {
		t.Errorf("a token prints: %s", text)
	}
	want := map[string]any{"additionalData": "ticket", "allowPersonalUsage": "PERSONAL_USAGE_ALLOWED", "duration": "3600s", "oneTimeOnly": true, "policyName": "enterprises/E/policies/sallyport-base-v1"}
	if diff := cmp.Diff(want, g.lastBody()); diff != "" {
		t.Error(diff)
	}
	if _, err = g.client().CreateToken(t.Context(), "enterprises/E", TokenRequest{Policy: "p"}); err != nil || g.lastBody()["duration"] != "60s" || g.lastBody()["allowPersonalUsage"] != "PERSONAL_USAGE_DISALLOWED" {
		t.Errorf("got %v, %v", g.lastBody(), err)
	}
	g.answers(route, `{}`)
	if _, err = g.client().CreateToken(t.Context(), "enterprises/E", TokenRequest{}); !asProblem(t, err).Retry {
		t.Errorf("half an answer: got %v", err)
	}
	g.answers("DELETE /v1/enterprises/E/enrollmentTokens/1", `{}`)
	if err := g.client().DeleteToken(t.Context(), "enterprises/E/enrollmentTokens/1"); err != nil {
		t.Error(err)
	}
	g.refuses("DELETE /v1/enterprises/E/enrollmentTokens/1", 404, "NOT_FOUND", "", "gone", nil)
	if err := g.client().DeleteToken(t.Context(), "enterprises/E/enrollmentTokens/1"); err != nil {
		t.Errorf("gone already: got %v", err)
	}
}

func TestProvisioningInfo(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.answers("GET /v1/provisioningInfo/abc", `{"enterprise":"enterprises/E","brand":"google","model":"Pixel 8","apiLevel":34,"ownership":"COMPANY_OWNED","managementMode":"DEVICE_OWNER","serialNumber":"S"}`)
	for _, id := range []string{"abc", "provisioningInfo/abc"} {
		p, err := g.client().ProvisioningInfo(t.Context(), id)
		if want := (Provisioning{"enterprises/E", "Google Pixel 8", 34, mdm.Corporate, FullyManaged, "S"}); err != nil || p != want {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	before := len(g.requests())
	for _, id := range []string{"", "../enterprises/E", "a/b", "a?x", "a%2fb", "a b", strings.Repeat("a", 600)} {
		if _, err := g.client().ProvisioningInfo(t.Context(), id); !asProblem(t, err).NotFound() {
			t.Errorf("%q: got %v", id, err)
		}
	}
	if len(g.requests()) != before {
		t.Errorf("got %v", g.requests()[before:])
	}
}
