package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"sallyport/api"
	"sallyport/internal/auth"
)

// example is one good request of a route.
type example struct {
	path, body, contentType string
	status                  int
	match                   string // If-Match
	gate                    bool   // asked by a web server on behalf of a mail client
	session                 bool   // of a browser: the token is the key of a session
}

// What the routes take that make a revision; the newest one is 1.
const (
	mailTemplate = "name: mail\nassign: {users: [bob@example.test]}\naccounts: [{name: Mail, host: mail.example.test}]\n"
	phonesPolicy = "name: phones\nassign: everyone\nsettings: {require_passcode: true}\n"
)

const (
	jsonType = "application/json"
	yamlType = "application/yaml"
	formType = "application/x-www-form-urlencoded"
)

// examples has one for every row of the table.
var examples = map[string]example{
	"GET /":                                              {path: "/", status: 200},
	"HEAD /":                                             {path: "/", status: 200},
	"GET /assets/{file}":                                 {path: "/assets/none.css", status: 404},
	"GET /enroll/{code}":                                 {path: "/enroll/k7qx2mpa", status: 200},
	"HEAD /enroll/{code}":                                {path: "/enroll/" + goodCode, status: 200},
	"GET /enroll/{code}/qr.png":                          {path: "/enroll/" + goodCode + "/qr.png", status: 200},
	"GET /enroll/{code}/enroll.mobileconfig":             {path: "/enroll/" + goodCode + "/enroll.mobileconfig", status: 200},
	"HEAD /enroll/{code}/enroll.mobileconfig":            {path: "/enroll/" + goodCode + "/enroll.mobileconfig", status: 200},
	"POST /enroll/{code}/enroll.mobileconfig":            {path: "/enroll/" + pinCode + "/enroll.mobileconfig", body: "pin=" + goodPIN, contentType: formType, status: 200},
	"POST /enroll/{code}/android":                        {path: "/enroll/" + goodCode + "/android", body: "pin=", contentType: formType, status: 303},
	"GET /android/signin":                                {path: "/android/signin?provisioningInfo=p1", status: 200},
	"POST /android/signin":                               {path: "/android/signin", body: "code=" + goodCode + "&pin=&provisioning=p1", contentType: formType, status: 303},
	"GET /android/callback":                              {path: "/android/callback?state=s&enterpriseToken=t", status: 200},
	"POST /android/notifications/{secret}":               {path: "/android/notifications/s", body: "{}", contentType: jsonType, status: 204},
	"GET /api/v1/android":                                {path: "/api/v1/android", status: 200},
	"POST /api/v1/android/signup":                        {path: "/api/v1/android/signup", body: `{"service_account":"{}"}`, contentType: jsonType, status: 201},
	"GET /api/v1/android/doctor":                         {path: "/api/v1/android/doctor", status: 200},
	"GET /android/agent/certificates":                    {path: "/android/agent/certificates", status: 200},
	"POST /android/agent/certificates/{alias}/challenge": {path: "/android/agent/certificates/sallyport-mail/challenge", status: 201},
	"POST /android/agent/certificates/{alias}/status":    {path: "/android/agent/certificates/sallyport-mail/status", body: `{"state":"installed","sha256":"` + issuedHash + `"}`, contentType: jsonType, status: 204},
	"GET /api/v1/android/signin":                         {path: "/api/v1/android/signin", status: 200},
	"GET /api/v1/android/companion":                      {path: "/api/v1/android/companion", status: 200},
	"PUT /api/v1/android/companion":                      {path: "/api/v1/android/companion", body: `{"package":"com.example.agent"}`, contentType: jsonType, status: 200},
	"DELETE /api/v1/android/companion":                   {path: "/api/v1/android/companion", status: 204},
	"GET /scep":                                          {path: "/scep?operation=GetCACaps", status: 200},
	"POST /scep":                                         {path: "/scep?operation=PKIOperation", body: "der", contentType: "application/x-pki-message", status: 200},
	"GET /crl/{file}":                                    {path: "/crl/" + goodIssuer + ".crl", status: 200},
	"HEAD /crl/{file}":                                   {path: "/crl/" + goodIssuer + ".crl", status: 200},
	"PUT /mdm":                                           {path: "/mdm", body: "<plist/>", contentType: "application/x-apple-aspen-mdm", status: 200},
	"GET /healthz":                                       {path: "/healthz", status: 200},
	"GET /version":                                       {path: "/version", status: 200},
	"GET /console":                                       {path: "/console", status: 200},
	"POST /console/session":                              {path: "/console/session", body: "token=spt_wrong", contentType: formType, status: 401},
	"POST /console/session/end":                          {path: "/console/session/end", status: 303},
	"GET /console/devices":                               {path: "/console/devices?q=alice&decision=&verdict=", session: true, status: 200},
	"GET /console/devices/{id}":                          {path: "/console/devices/d1", session: true, status: 200},
	"GET /console/templates":                             {path: "/console/templates", session: true, status: 200},
	"GET /console/templates/{name}/preview":              {path: "/console/templates/mail/preview?user=alice@example.test&platform=gmail", session: true, status: 200},
	"GET /metrics":                                       {path: "/metrics", status: 200},
	"GET /api/v1/users":                                  {path: "/api/v1/users?group=sales&limit=1", status: 200},
	"POST /api/v1/users":                                 {path: "/api/v1/users", body: `{"upn":"bob@example.test","email":"bob@example.test"}`, contentType: jsonType, status: 200},
	"POST /api/v1/users/import":                          {path: "/api/v1/users/import", body: "upn,email\na@b,a@b\n", contentType: "text/csv", status: 200},
	"GET /api/v1/users/{upn}":                            {path: "/api/v1/users/alice@example.test", status: 200},
	"DELETE /api/v1/users/{upn}":                         {path: "/api/v1/users/alice@example.test", status: 204},
	"GET /api/v1/templates":                              {path: "/api/v1/templates", status: 200},
	"POST /api/v1/templates":                             {path: "/api/v1/templates", body: mailTemplate, contentType: yamlType, status: 200, match: `"1"`},
	"GET /api/v1/templates/{name}":                       {path: "/api/v1/templates/mail", status: 200},
	"PUT /api/v1/templates/{name}/assign":                {path: "/api/v1/templates/mail/assign", body: `{"assign":{"groups":["sales"]},"exclude":{"users":["bob@example.test"]}}`, contentType: jsonType, status: 200, match: `"1"`},
	"GET /api/v1/templates/{name}/revisions":             {path: "/api/v1/templates/mail/revisions", status: 200},
	"GET /api/v1/templates/{name}/revisions/{revision}":  {path: "/api/v1/templates/mail/revisions/1", status: 200},
	"GET /api/v1/templates/{name}/diff":                  {path: "/api/v1/templates/mail/diff?from=1&to=2", status: 200},
	"POST /api/v1/templates/{name}/rollback":             {path: "/api/v1/templates/mail/rollback", body: `{"revision":1}`, contentType: jsonType, status: 200, match: `"1"`},
	"POST /api/v1/templates/preview":                     {path: "/api/v1/templates/preview", body: `{"name":"mail","user":"alice@example.test","platform":"apple","os":"11.4"}`, contentType: jsonType, status: 200},
	"POST /api/v1/templates/check":                       {path: "/api/v1/templates/check", body: `{"name":"mail","limit":1}`, contentType: jsonType, status: 200},
	"POST /api/v1/templates/import":                      {path: "/api/v1/templates/import?user=alice@example.test", body: foreignProfile, contentType: "application/x-apple-aspen-config", status: 200},
	"GET /api/v1/security-policies":                      {path: "/api/v1/security-policies", status: 200},
	"POST /api/v1/security-policies":                     {path: "/api/v1/security-policies", body: phonesPolicy, contentType: yamlType, status: 200, match: `"1"`},
	"GET /api/v1/security-policies/{name}":               {path: "/api/v1/security-policies/phones", status: 200},
	"GET /api/v1/secrets":                                {path: "/api/v1/secrets", status: 200},
	"PUT /api/v1/secrets/{name}":                         {path: "/api/v1/secrets/cert", body: `{"kind":"pkcs12","user":"alice@example.test","value":"pw","data":"MAA="}`, contentType: jsonType, status: 200},
	"DELETE /api/v1/secrets/{name}":                      {path: "/api/v1/secrets/cert?user=alice@example.test", status: 204},
	"GET /api/v1/smime":                                  {path: "/api/v1/smime?user=alice@example.test&expiring_before=2027-01-01T00:00:00Z&limit=1", status: 200},
	"POST /api/v1/smime/import":                          {path: "/api/v1/smime/import", body: `{"files":[{"line":2,"mail":"alice@example.test","former":"alice.maiden@example.test","file":"alice.p12","password":"pw","data":"MAA="}],"dry_run":true}`, contentType: jsonType, status: 200},
	"POST /api/v1/smime/issue":                           {path: "/api/v1/smime/issue", body: `{"user":"alice@example.test","usages":["signing"],"force":true}`, contentType: jsonType, status: 201},
	"POST /api/v1/smime/{id}/revoke":                     {path: "/api/v1/smime/k1/revoke", body: `{"reason":"keyCompromise"}`, contentType: jsonType, status: 204},
	"GET /api/v1/smime/exports":                          {path: "/api/v1/smime/exports?limit=1", status: 200},
	"POST /api/v1/smime/exports":                         {path: "/api/v1/smime/exports", body: `{"user":"alice@example.test","reason":"lost phone"}`, contentType: jsonType, status: 201},
	"POST /api/v1/smime/exports/{id}/approve":            {path: "/api/v1/smime/exports/x1/approve", status: 200},
	"POST /api/v1/smime/exports/{id}/take":               {path: "/api/v1/smime/exports/x1/take", body: `{"password":"a long password","legacy":true}`, contentType: jsonType, status: 200},
	"GET /api/v1/compliance/policies":                    {path: "/api/v1/compliance/policies", status: 200},
	"POST /api/v1/compliance/policies":                   {path: "/api/v1/compliance/policies?dry_run=false", body: "name: phones\n", contentType: yamlType, status: 200},
	"GET /api/v1/compliance/progress":                    {path: "/api/v1/compliance/progress", status: 200},
	"GET /api/v1/compliance/policies/{name}":             {path: "/api/v1/compliance/policies/phones", status: 200},
	"GET /api/v1/invitations":                            {path: "/api/v1/invitations?user=alice@example.test", status: 200},
	"POST /api/v1/invitations":                           {path: "/api/v1/invitations", body: `{"all":true,"ownership":"personal","pin":true,"ttl":"72h"}`, contentType: jsonType, status: 201},
	"DELETE /api/v1/invitations/{id}":                    {path: "/api/v1/invitations/i1", status: 204},
	"GET /api/v1/devices":                                {path: "/api/v1/devices?state=compliant&changed_since=2026-11-21T08:00:00Z&eas_device_id=ABC&user=a@b", status: 200},
	"GET /api/v1/devices/{id}":                           {path: "/api/v1/devices/" + deviceID, status: 200},
	"GET /api/v1/devices/{id}/compliance":                {path: "/api/v1/devices/" + deviceID + "/compliance", status: 200},
	"GET /api/v1/devices/{id}/actions":                   {path: "/api/v1/devices/" + deviceID + "/actions?limit=1", status: 200},
	"POST /api/v1/devices/{id}/actions":                  {path: "/api/v1/devices/" + deviceID + "/actions", body: `{"kind":"lock","message":"Lost","phone_number":"+49 30 1"}`, contentType: jsonType, status: 201},
	"GET /api/v1/devices/{id}/actions/{action}":          {path: "/api/v1/devices/" + deviceID + "/actions/a1", status: 200},
	"DELETE /api/v1/devices/{id}/actions/{action}":       {path: "/api/v1/devices/" + deviceID + "/actions/a1", status: 200},
	"POST /api/v1/devices/{id}/actions/{action}/approve": {path: "/api/v1/devices/" + deviceID + "/actions/a1/approve", status: 200},
	"GET /api/v1/devices/{id}/commands":                  {path: "/api/v1/devices/" + deviceID + "/commands", status: 200},
	"GET /api/v1/devices/{id}/mail":                      {path: "/api/v1/devices/" + deviceID + "/mail", status: 200},
	"PUT /api/v1/devices/{id}/ownership":                 {path: "/api/v1/devices/" + deviceID + "/ownership", body: `{"ownership":"personal"}`, contentType: jsonType, status: 204},
	"GET /api/v1/held-enrollments":                       {path: "/api/v1/held-enrollments?limit=1", status: 200},
	"POST /api/v1/held-enrollments/{id}/admit":           {path: "/api/v1/held-enrollments/h1/admit", status: 204},
	"POST /api/v1/held-enrollments/{id}/refuse":          {path: "/api/v1/held-enrollments/h1/refuse", status: 204},
	"POST /api/v1/access/decisions":                      {path: "/api/v1/access/decisions", body: `{"user":"alice@example.test","device_id":"ABC","device_type":"iPhone","user_agent":"Apple-iPhone"}`, contentType: jsonType, status: 200},
	"GET /api/v1/webhooks":                               {path: "/api/v1/webhooks", status: 200},
	"POST /api/v1/webhooks":                              {path: "/api/v1/webhooks", body: `{"url":"https://siem.example.test/x","events":["decision.changed"]}`, contentType: jsonType, status: 201},
	"DELETE /api/v1/webhooks/{id}":                       {path: "/api/v1/webhooks/h1", status: 204},
	"POST /api/v1/webhooks/{id}/enable":                  {path: "/api/v1/webhooks/h1/enable", status: 204},
	"POST /api/v1/webhooks/{id}/test":                    {path: "/api/v1/webhooks/h1/test", status: 200},
	"GET /api/v1/access/explain":                         {path: "/api/v1/access/explain?user=alice@example.test&device_id=ABC", status: 200},
	"GET /api/v1/access/denials":                         {path: "/api/v1/access/denials?user=alice@example.test&limit=1", status: 200},
	"GET /api/v1/access/denials/{id}":                    {path: "/api/v1/access/denials/n1", status: 200},
	"POST /api/v1/access/denials/{id}/replay":            {path: "/api/v1/access/denials/n1/replay", status: 200},
	"GET /api/v1/access/stream":                          {path: "/api/v1/access/stream", status: 200},
	"GET /api/v1/compliance":                             {path: "/api/v1/compliance?limit=1", status: 200},
	"GET /access/auth":                                   {path: "/access/auth", gate: true, status: 204},
	"GET /access/why/{token}":                            {path: "/access/why/" + goodReason, status: 200},
	"HEAD /access/why/{token}":                           {path: "/access/why/" + goodReason, status: 200},
	"GET /api/v1/mail":                                   {path: "/api/v1/mail", status: 200},
	"POST /api/v1/mail/test":                             {path: "/api/v1/mail/test", body: `{"to":"alice@example.test"}`, contentType: jsonType, status: 200},
	"GET /api/v1/storage":                                {path: "/api/v1/storage", status: 200},
	"GET /api/v1/push":                                   {path: "/api/v1/push", status: 200},
	"POST /api/v1/push/csr":                              {path: "/api/v1/push/csr", status: 201},
	"POST /api/v1/push/certificate":                      {path: "/api/v1/push/certificate", body: `{"certificate":"-----BEGIN CERTIFICATE-----","replace_topic":42,"dry_run":true}`, contentType: jsonType, status: 200},
	"POST /api/v1/devices/{id}/push":                     {path: "/api/v1/devices/" + deviceID + "/push", status: 200},
	"GET /api/v1/certificates":                           {path: "/api/v1/certificates?user=alice@example.test&rule=mdm-identity&enrollment=e1&expiring_before=2026-12-21T00:00:00Z&limit=1", status: 200},
	"GET /api/v1/certificates/{sha256}":                  {path: "/api/v1/certificates/" + issuedHash, status: 200},
	"POST /api/v1/certificates/{sha256}/revoke":          {path: "/api/v1/certificates/" + issuedHash + "/revoke", body: `{"reason":"keyCompromise"}`, contentType: jsonType, status: 200},
	"POST /api/v1/scep/challenges":                       {path: "/api/v1/scep/challenges", body: `{"upn":"alice@example.test","rule":"mail-identity","ttl":"24h"}`, contentType: jsonType, status: 201},
	"GET /api/v1/tokens":                                 {path: "/api/v1/tokens", status: 200},
	"POST /api/v1/tokens":                                {path: "/api/v1/tokens", body: `{"role":"engine","owner":"gate","ttl":"720h"}`, contentType: jsonType, status: 201},
	"DELETE /api/v1/tokens/{id}":                         {path: "/api/v1/tokens/none", status: 404},
	"GET /api/v1/audit":                                  {path: "/api/v1/audit?action=user.&after=3&limit=1", status: 200},
	"GET /api/v1/ca":                                     {path: "/api/v1/ca", status: 200},
	"GET /api/v1/ca/authorities":                         {path: "/api/v1/ca/authorities", status: 200},
	"GET /api/v1/ca/expiry":                              {path: "/api/v1/ca/expiry", status: 200},
	"POST /api/v1/ca/requests":                           {path: "/api/v1/ca/requests", body: `{"kind":"p384"}`, contentType: jsonType, status: 201},
	"POST /api/v1/ca/issuing":                            {path: "/api/v1/ca/issuing", body: chainImport, contentType: jsonType, status: 201},
	"POST /api/v1/ca/rollover":                           {path: "/api/v1/ca/rollover", body: `{"kind":"p256"}`, contentType: jsonType, status: 409},
	"GET /api/v1/ca/issuing/{fingerprint}/untold":        {path: "/api/v1/ca/issuing/" + issuedHash + "/untold?after=e0&limit=1", status: 200},
	"POST /api/v1/ca/issuing/{fingerprint}/activate":     {path: "/api/v1/ca/issuing/" + issuedHash + "/activate", body: `{"force":true}`, contentType: jsonType, status: 200},
	"POST /api/v1/ca/issuing/{fingerprint}/retire":       {path: "/api/v1/ca/issuing/" + issuedHash + "/retire", body: `{"force":true}`, contentType: jsonType, status: 200},
	"GET /api/v1/reports/devices":                        {path: "/api/v1/reports/devices?format=json&after=u0&limit=1", status: 200},
	"GET /api/v1/reports/deployment":                     {path: "/api/v1/reports/deployment", status: 200},
	"GET /api/v1/reports/mailboxes":                      {path: "/api/v1/reports/mailboxes?format=json&limit=1", status: 200},
	"GET /api/v1/users/{upn}/mailbox":                    {path: "/api/v1/users/alice@example.test/mailbox", status: 200},
	"GET /api/v1/backup":                                 {path: "/api/v1/backup", status: 200},
	"GET /api/v1/openapi.yaml":                           {path: "/api/v1/openapi.yaml", status: 200},

	"GET /api/v1/access/rules":                    {path: "/api/v1/access/rules", status: 200},
	"POST /api/v1/access/rules":                   {path: "/api/v1/access/rules", body: `{"effect":"allow","family":"iPhone","default":"quarantine","reason":"ours"}`, contentType: jsonType, status: 200},
	"DELETE /api/v1/access/rules/{id}":            {path: "/api/v1/access/rules/r1?reason=old", status: 204},
	"PUT /api/v1/access/default":                  {path: "/api/v1/access/default?dry_run=true", body: `{"strategy":"allow-list","reason":"pilot"}`, contentType: jsonType, status: 200},
	"GET /api/v1/access/policies":                 {path: "/api/v1/access/policies", status: 200},
	"POST /api/v1/access/policies":                {path: "/api/v1/access/policies?dry_run=false", body: "name: standard\n", contentType: yamlType, status: 200},
	"GET /api/v1/access/policies/{name}":          {path: "/api/v1/access/policies/standard", status: 200},
	"GET /api/v1/access/policies/{name}/shut-out": {path: "/api/v1/access/policies/standard/shut-out?limit=1", status: 200},
	"GET /api/v1/access/devices":                  {path: "/api/v1/access/devices?user=alice@example.test&decision=quarantine&family=iPhone&model=a&limit=1", status: 200},
	"POST /api/v1/access/devices/approve":         {path: "/api/v1/access/devices/approve", body: `{"devices":["d1"],"reason":"known"}`, contentType: jsonType, status: 200},
	"POST /api/v1/access/devices/deny":            {path: "/api/v1/access/devices/deny?dry_run=true", body: `{"devices":["d1"],"reason":"unknown"}`, contentType: jsonType, status: 200},
	"GET /api/v1/access/devices/{id}":             {path: "/api/v1/access/devices/d1", status: 200},
	"DELETE /api/v1/access/devices/{id}":          {path: "/api/v1/access/devices/d1?reason=sold", status: 204},
	"PUT /api/v1/access/devices/{id}/binding":     {path: "/api/v1/access/devices/d1/binding", body: `{"enrollment_id":"e1","reason":"asked"}`, contentType: jsonType, status: 200},
	"DELETE /api/v1/access/devices/{id}/binding":  {path: "/api/v1/access/devices/d1/binding?reason=wrong", status: 204},
	"POST /api/v1/access/words":                   {path: "/api/v1/access/words", body: `{"kind":"exempt","user":"alice@example.test","eas_device_id":"ABC","reason":"travels","expires_at":"2026-12-01T00:00:00Z"}`, contentType: jsonType, status: 200},
	"POST /api/v1/access/words/take-back":         {path: "/api/v1/access/words/take-back", body: `{"kind":"exempt","devices":["d1"],"reason":"back"}`, contentType: jsonType, status: 204},
	"PUT /api/v1/users/{upn}/mail":                {path: "/api/v1/users/alice@example.test/mail", body: `{"on":false,"reason":"left"}`, contentType: jsonType, status: 204},
}

const foreignProfile = `<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadDisplayName</key><string>Mail</string>
<key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.eas.account</string><key>Host</key><string>mail.example.test</string>
<key>EmailAddress</key><string>alice@example.test</string></dict></array></dict></plist>`

func (e example) request(method, token string) *http.Request {
	r := httptest.NewRequest(method, e.path, strings.NewReader(e.body))
	if e.contentType != "" {
		r.Header.Set("Content-Type", e.contentType)
	}
	switch {
	case e.gate:
		r.Header.Set("X-Original-URI", "/Microsoft-Server-ActiveSync?Cmd=Sync&User=alice@example.test&DeviceId=ABC&DeviceType=iPhone")
		r.Header.Set("X-Original-Method", "POST")
		r.SetBasicAuth("alice@example.test", "pw")
		if token != "" {
			r.Header.Set("X-Sallyport-Token", token)
		}
	case e.session && token != "":
		r.AddCookie(&http.Cookie{Name: "__Host-sallyport", Value: token})
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if e.match != "" {
		r.Header.Set("If-Match", e.match)
	}
	return r
}

func spec(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatalf("api/openapi.yaml is not valid: %v", err)
	}
	return doc
}

// The table and the contract name the same routes with the same roles.
func TestTableIsTheContract(t *testing.T) {
	f, err := newFront(newWorld(t).config())
	if err != nil {
		t.Fatal(err)
	}
	doc := spec(t)
	table := make(map[string]route)
	for _, row := range f.routes {
		table[row.method+" "+row.pattern] = row
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			name := method + " " + path
			row, found := table[name]
			if !found {
				t.Errorf("%s is in api/openapi.yaml and not in the table", name)
				continue
			}
			delete(table, name)
			var roles []auth.Role
			if listed, ok := operation.Extensions["x-roles"].([]any); ok {
				for _, role := range listed {
					roles = append(roles, auth.Role(role.(string)))
				}
			}
			if !slices.Equal(roles, row.roles) {
				t.Errorf("%s: roles are %v in api/openapi.yaml, %v in the table", name, roles, row.roles)
			}
			open := operation.Security != nil && len(*operation.Security) == 0
			if open != row.open || open == (len(row.roles) > 0) {
				t.Errorf("%s: open is %v in api/openapi.yaml, %v in the table with roles %v", name, open, row.open, row.roles)
			}
		}
	}
	for name := range table {
		t.Errorf("%s is in the table and not in api/openapi.yaml", name)
	}
}

// Every route answers as the contract says: once well, and once in trouble.
func TestEveryRouteAgainstTheContract(t *testing.T) {
	doc := spec(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	f, err := newFront(w.config())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range f.routes {
		name := row.method + " " + row.pattern
		t.Run(name, func(t *testing.T) {
			e, found := examples[name]
			if !found {
				t.Fatal("no example: add one")
			}
			token := token
			if row.gate {
				token = w.token(t, auth.Engine, time.Hour).Text.Reveal()
			}
			refused := http.StatusUnauthorized
			if row.session {
				token, refused = signIn(t, handlers.Public, token), http.StatusSeeOther
			}
			check(t, router, handlers.Public, e, row.method, token, e.status)
			if row.open {
				return
			}
			w.sleep(10 * time.Second) // bad tokens are limited
			check(t, router, handlers.Public, e, row.method, "", refused)
		})
	}
}

// The trouble of a room is one of the contract's answers too.
func TestTroubleAgainstTheContract(t *testing.T) {
	doc := spec(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, trouble := range []error{errFoo, context.DeadlineExceeded} {
		w := newWorld(t)
		handlers, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
		key := signIn(t, handlers.Public, token)
		w.err = trouble
		for name, e := range examples {
			method, _, _ := strings.Cut(name, " ")
			recorder := httptest.NewRecorder()
			token := token
			if e.gate {
				token = w.token(t, auth.Engine, time.Hour).Text.Reveal()
			}
			if e.session {
				token = key
			}
			r := e.request(method, token)
			handlers.Public.ServeHTTP(recorder, r)
			validateResponse(t, router, e.request(method, token), recorder)
			if strings.Contains(recorder.Body.String(), errFoo.Error()) {
				t.Errorf("%s tells the inner error", name)
			}
		}
	}
}

func check(t *testing.T, router routers.Router, h http.Handler, e example, method, token string, status int) {
	t.Helper()
	recorder := httptest.NewRecorder()
	validateRequest(t, router, e.request(method, token))
	h.ServeHTTP(recorder, e.request(method, token))
	if recorder.Code != status {
		t.Errorf("status %d, want %d: %s", recorder.Code, status, recorder.Body)
	}
	validateResponse(t, router, e.request(method, token), recorder)
}

var anything = openapi3filter.Options{
	AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc, // TestRoles tests that
	IncludeResponseStatus: true,
	ExcludeRequestBody:    true, // of types that have no schema
}

func input(t *testing.T, router routers.Router, r *http.Request) *openapi3filter.RequestValidationInput {
	t.Helper()
	found, values, err := router.FindRoute(r)
	if err != nil {
		t.Fatalf("the contract has no %s %s: %v", r.Method, r.URL.Path, err)
	}
	options := anything
	options.ExcludeRequestBody = r.Header.Get("Content-Type") != jsonType
	return &openapi3filter.RequestValidationInput{Request: r, PathParams: values, Route: found, Options: &options}
}

func validateRequest(t *testing.T, router routers.Router, r *http.Request) {
	t.Helper()
	if err := openapi3filter.ValidateRequest(t.Context(), input(t, router, r)); err != nil {
		t.Errorf("the example breaks the contract: %v", err)
	}
}

func validateResponse(t *testing.T, router routers.Router, r *http.Request, recorder *httptest.ResponseRecorder) {
	t.Helper()
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input(t, router, r), Status: recorder.Code, Header: recorder.Header(), Options: &anything,
	}
	options := anything
	kind, _, _ := strings.Cut(recorder.Header().Get("Content-Type"), ";")
	options.ExcludeResponseBody = kind != jsonType && kind != "application/problem+json"
	in.Options = &options
	in.SetBodyBytes(recorder.Body.Bytes())
	if err := openapi3filter.ValidateResponse(t.Context(), in); err != nil {
		t.Errorf("%s %s: the answer %d breaks the contract: %v", r.Method, r.URL.Path, recorder.Code, err)
	}
	if r.Method == http.MethodHead || recorder.Code == http.StatusNoContent || recorder.Body.Len() == 0 {
		return
	}
	response := in.RequestValidationInput.Route.Operation.Responses.Status(recorder.Code)
	if response == nil {
		response = in.RequestValidationInput.Route.Operation.Responses.Default()
	}
	if response == nil || response.Value.Content.Get(kind) == nil {
		t.Errorf("%s %s: type %q is not among those of status %d", r.Method, r.URL.Path, kind, recorder.Code)
	}
}
