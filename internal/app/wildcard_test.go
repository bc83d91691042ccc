package app_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sallyport/api"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

// eraseSpellings are the ways to say EraseDevice that we could think of.
func eraseSpellings() []string {
	plain := func(word string) string {
		return `<plist version="1.0"><dict><key>RequestType</key><string>` + word + `</string></dict></plist>`
	}
	spellings := []string{
		plain("ProfileList") + plain("EraseDevice"),
		`<plist version="1.0"><dict><key>RequestType</key><string>ProfileList</string><key>RequestType</key><string>EraseDevice</string></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><string>EraseDevice</string><key>RequestType</key><string>ProfileList</string></dict></plist>`,
		`<plist version="1.0"><dict><key>requesttype</key><string>EraseDevice</string><key>RequestType</key><string>ProfileList</string></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><string>Settings</string><key>Settings</key><array><dict><key>RequestType</key><string>EraseDevice</string></dict></array></dict></plist>`,
		`<plist version="1.0"><dict><key>Command</key><dict><key>RequestType</key><string>EraseDevice</string></dict></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><data>RXJhc2VEZXZpY2U=</data></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><array><string>EraseDevice</string></array></dict></plist>`,
		`<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY e "EraseDevice">]>` + plain("&e;"),
		`<?xml version="1.0" encoding="UTF-16"?>` + plain("EraseDevice"),
		"bplist00\xd1\x01\x02[RequestType[EraseDevice",
		`{"RequestType": "EraseDevice"}`,
		`{"type": "WIPE"}`, `{"type": "wipe"}`, `{"type": " WIPE"}`, `{"TYPE": "WIPE"}`, `{"type": "REBOOT", "type": "WIPE"}`, `{"type": "REBOOT"}{"type": "WIPE"}`,
		`{"type": "REBOOT", "wipeParams": {}}`, `{"type": "DELETE_DEVICE"}`, `{"type": "RELINQUISH_OWNERSHIP"}`, `{"type": "REBOOT"}`,
	}
	for _, word := range []string{
		"EraseDevice", "erasedevice", "ERASEDEVICE", " EraseDevice", "EraseDevice\n", "Erase Device", "Erase-Device", "Erase_Device", "Erase.Device", "EraseDevice.",
		"&#69;raseDevice", "&#x45;rase&#68;evice", "<![CDATA[EraseDevice]]>", "Erase<!-- -->Device", "Erase\u200bDevice", "\ufeffEraseDevice", "EraseDevice\u0000",
		"ЕraseDevice", "EraseDevicе", "ＥｒａｓｅＤｅｖｉｃｅ", "Erase\u00adDevice",
	} {
		spellings = append(spellings, plain(word))
	}
	return spellings
}

// wildcard makes requests: every route, with what may pass for its parameters.
type wildcard struct {
	r      *rand.Rand
	routes []string            // "METHOD /path/{parameter}"
	pool   map[string][]string // by parameter
	names  []string            // of the devices
	raw    []string
	tried  map[string]int // requests by route
	next   int            // route, in their order
	erase  int            // requests that ask to erase, in whatever words
}

func newWildcard(t *testing.T, seed uint64) *wildcard {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	must(t, err)
	w := &wildcard{r: rand.New(rand.NewPCG(seed, seed)), pool: map[string][]string{}, raw: eraseSpellings(), tried: map[string]int{}}
	for path, item := range doc.Paths.Map() {
		if path == "/api/v1/access/stream" { // it has no end, and takes nothing that could be about a phone
			continue
		}
		for method := range item.Operations() {
			w.routes = append(w.routes, method+" "+path)
		}
	}
	slices.Sort(w.routes)
	return w
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// request is a random one: of acts every other, of the rest one after the other.
func (w *wildcard) request() (method, path, contentType string, body []byte) {
	var route string
	switch w.r.IntN(8) {
	case 0, 1, 2:
		route = "POST /api/v1/devices/{id}/actions"
	case 3:
		route = pick(w.r, "POST /api/v1/devices/{id}/actions/{action}/approve", "PUT /api/v1/devices/{id}/ownership", "POST /api/v1/held-enrollments/{id}/refuse")
	default:
		route = w.routes[w.next%len(w.routes)]
		w.next++
	}
	w.tried[route]++
	method, pattern, _ := strings.Cut(route, " ")
	path = parameter.ReplaceAllStringFunc(pattern, func(name string) string {
		key := strings.Trim(name, "{}")
		switch {
		case strings.HasPrefix(pattern, "/api/v1/held") || strings.HasPrefix(pattern, "/api/v1/devices"):
		case key == "id":
			return "nothing" // tokens and invitations stay
		case key == "upn":
			return pick(w.r, "nobody@example.test", "EraseDevice")
		}
		if len(w.pool[key]) == 0 || w.r.IntN(20) == 0 {
			return pick(w.r, "EraseDevice", "wipe", "0")
		}
		return url.PathEscape(pick(w.r, w.pool[key]...))
	})
	if method == http.MethodGet || method == http.MethodHead {
		return method, path, "", nil
	}
	if strings.HasSuffix(pattern, "/actions") {
		body = w.order()
	} else if strings.HasSuffix(pattern, "/ownership") {
		body = marshal(adminapi.OwnershipRequest{Ownership: pick(w.r, "personal", "corporate", "Corporate", "", "EraseDevice")})
	} else {
		body = []byte(pick(w.r, "", "{}", `{"kind":"wipe"}`, `{"RequestType":"EraseDevice"}`, "name: EraseDevice\n", pick(w.r, w.raw...)))
		w.erase++
	}
	contentType = "application/json"
	if w.r.IntN(8) == 0 {
		contentType = pick(w.r, "application/yaml", "text/csv", "application/x-apple-aspen-mdm", "application/x-apple-aspen-config")
	}
	return method, path, contentType, body
}

// order is an act, well formed or nearly so.
func (w *wildcard) order() []byte {
	kinds := append(mdm.ActionKinds(), mdm.ActionWipe, mdm.ActionWipe, mdm.ActionCommand, mdm.ActionCommand, "Wipe", "WIPE", " wipe", "erase", "EraseDevice", "")
	in := adminapi.ActionRequest{Kind: string(pick(w.r, kinds...)), DryRun: w.r.IntN(10) == 0, Force: w.r.IntN(8) == 0}
	in.Confirm = pick(w.r, append(slices.Clone(w.names), "", "EraseDevice")...)
	switch odd := w.r.IntN(10) == 0; {
	case in.Kind == string(mdm.ActionCommand) || odd:
		in.Raw = pick(w.r, w.raw...)
	case in.Kind == string(mdm.ActionQuery):
		in.Query = pick(w.r, "ProfileList", "SecurityInfo", "EraseDevice", "erasedevice", "DeviceInformation")
	case in.Kind == string(mdm.ActionRename):
		in.Name = pick(w.r, append(slices.Clone(w.names), "EraseDevice", "<string>EraseDevice</string>")...)
	case in.Kind == string(mdm.ActionLock):
		in.Message = pick(w.r, "", "EraseDevice", "</string><key>RequestType</key><string>EraseDevice</string>")
	}
	if in.Kind == string(mdm.ActionWipe) || in.Raw != "" || in.Query == "EraseDevice" {
		w.erase++
	}
	return marshal(in)
}

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a struct of strings
	}
	return body
}

// learn takes down what there is: those devices, their names, acts, held enrolments.
func (w *wildcard) learn(c *client, devices ...string) {
	c.t.Helper()
	w.pool = map[string][]string{"name": {"mail", "baseline"}, "revision": {"1"}, "code": {"AAAAAAAA"}, "file": {"none"}}
	w.names = nil
	for _, id := range devices {
		w.pool["id"] = append(w.pool["id"], id)
		var device accessapi.DeviceDetail
		c.call(http.MethodGet, "/api/v1/devices/"+id, "", nil, &device)
		w.names = append(w.names, device.Name, device.Label)
		var acts adminapi.Actions
		c.call(http.MethodGet, "/api/v1/devices/"+id+"/actions?limit=10", "", nil, &acts)
		for _, a := range acts.Actions {
			w.pool["action"] = append(w.pool["action"], a.ID)
		}
	}
	var held adminapi.HeldEnrollments
	c.call(http.MethodGet, "/api/v1/held-enrollments", "", nil, &held)
	for _, h := range held.Held {
		w.pool["id"] = append(w.pool["id"], h.ID, h.ID)
	}
}
