package agent

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxCall is larger than any policy that Google takes.
const maxCall = 4 << 20

// call is one call of the API, whose path, query and body have been checked.
type call struct {
	parts []string // of the path
	query url.Values
	body  object
}

// enterprise, and the part below it.
func (c *call) enterprise() string { return "enterprises/" + c.parts[0] }

func (c *call) size() int {
	n, _ := strconv.Atoi(c.query.Get("pageSize"))
	return n
}

// apiHandler carries a call out. The caller of it holds a.mu.
type apiHandler func(*AMAPI, *call) (object, *apiError)

// handlers are the methods of the stand-in.
var handlers = map[string]apiHandler{
	"signupUrls.create":                             (*AMAPI).createSignup,
	"provisioningInfo.get":                          (*AMAPI).getProvisioning,
	"enterprises.create":                            (*AMAPI).createEnterprise,
	"enterprises.get":                               (*AMAPI).getEnterprise,
	"enterprises.patch":                             (*AMAPI).patchEnterprise,
	"enterprises.delete":                            (*AMAPI).deleteEnterprise,
	"enterprises.enrollmentTokens.create":           (*AMAPI).createToken,
	"enterprises.enrollmentTokens.get":              (*AMAPI).getToken,
	"enterprises.enrollmentTokens.list":             (*AMAPI).listTokens,
	"enterprises.enrollmentTokens.delete":           (*AMAPI).deleteToken,
	"enterprises.policies.patch":                    (*AMAPI).patchPolicy,
	"enterprises.policies.get":                      (*AMAPI).getPolicy,
	"enterprises.policies.list":                     (*AMAPI).listPolicies,
	"enterprises.policies.delete":                   (*AMAPI).deletePolicy,
	"enterprises.policies.modifyPolicyApplications": (*AMAPI).modifyApplications,
	"enterprises.policies.removePolicyApplications": (*AMAPI).removeApplications,
	"enterprises.devices.get":                       (*AMAPI).getDevice,
	"enterprises.devices.list":                      (*AMAPI).listDevices,
	"enterprises.devices.patch":                     (*AMAPI).patchDevice,
	"enterprises.devices.delete":                    (*AMAPI).deleteDevice,
	"enterprises.devices.issueCommand":              (*AMAPI).issueCommand,
	"enterprises.devices.operations.get":            (*AMAPI).getOperation,
	"enterprises.devices.operations.list":           (*AMAPI).listOperations,
	"enterprises.devices.operations.cancel":         (*AMAPI).cancelOperation,
	"enterprises.applications.get":                  (*AMAPI).getApplication,
}

// api serves Google's API.
func (a *AMAPI) api(w http.ResponseWriter, r *http.Request) {
	m, parts, wrongVerb := a.schema.find(r.Method, r.URL.Path)
	if m == nil {
		e := &apiError{code: http.StatusNotFound, status: "NOT_FOUND", message: "Method not found."}
		if wrongVerb {
			e = &apiError{code: http.StatusMethodNotAllowed, status: "UNIMPLEMENTED", message: "Method not allowed."}
		}
		a.note(r.Method+" "+r.URL.Path, e.message)
		e.write(w)
		return
	}
	a.count(m.ID)
	trouble, troubled := a.trouble(m.ID)
	if troubled && a.play(w, r, trouble) {
		return
	}
	body, e := a.answer(m, parts, r)
	switch {
	case e != nil:
		if e.breach {
			a.note(m.ID, e.message)
		}
		e.write(w)
	case troubled:
		a.spoil(w, r, trouble, body)
	default:
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		_, _ = w.Write(body) // the caller may be gone
	}
}

// answer checks a call from the outside in, and carries it out.
func (a *AMAPI) answer(m *amapiMethod, parts []string, r *http.Request) ([]byte, *apiError) {
	if e := a.authorized(r); e != nil {
		return nil, e
	}
	if e := a.withinQuota(); e != nil {
		return nil, e
	}
	c := &call{parts: parts}
	var e *apiError
	if c.query, e = a.checkQuery(m, r.URL.RawQuery); e != nil {
		return nil, e
	}
	if c.body, e = a.checkBody(m, r); e != nil {
		return nil, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out, e := handlers[m.ID](a, c)
	if e != nil {
		return nil, e
	}
	out = a.schema.stored(m.Response, plain(out))
	if e := a.schema.checkMessage(m.Response, out, ""); e != nil {
		e.code, e.status, e.message = http.StatusInternalServerError, "INTERNAL", "the stand-in's own answer: "+e.message
		return nil, e
	}
	if r.Method != http.MethodGet {
		if err := a.keep(); err != nil {
			return nil, &apiError{code: http.StatusInternalServerError, status: "INTERNAL", message: err.Error()}
		}
	}
	body, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, &apiError{code: http.StatusInternalServerError, status: "INTERNAL", message: err.Error()}
	}
	return append(body, '\n'), nil
}

// checkQuery takes the parameters of the method, and of all others the two by
// which Google's client libraries ask for JSON.
func (a *AMAPI) checkQuery(m *amapiMethod, raw string) (url.Values, *apiError) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, broken("", "Invalid query.")
	}
	for name, values := range query {
		at, ok := m.query[name]
		switch {
		case ok && at.kind == "[]":
			at = *at.elem
		case len(values) != 1:
			return nil, broken(name, "Invalid JSON payload received. Query parameter %q stands there twice.", name)
		case ok:
		case name == "alt" && values[0] == "json", name == "prettyPrint" && (values[0] == "true" || values[0] == "false"):
			continue
		default:
			return nil, broken(name, "Invalid JSON payload received. Unknown name %q: Cannot bind query parameter.", name)
		}
		for _, v := range values {
			if e := checkText(at, v, name); e != nil {
				return nil, e
			}
		}
	}
	return query, nil
}

func (a *AMAPI) checkBody(m *amapiMethod, r *http.Request) (object, *apiError) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxCall+1))
	switch {
	case err != nil:
		return nil, broken("", "the body broke off")
	case len(data) > maxCall:
		return nil, &apiError{code: http.StatusRequestEntityTooLarge, status: invalidArgument, message: "Request payload size exceeds the limit.", breach: true}
	case m.Request == "" && len(strings.TrimSpace(string(data))) > 0:
		return nil, broken("", "%s takes no body.", m.ID)
	case m.Request == "":
		return object{}, nil
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return nil, broken("", "the body's type is not application/json")
	}
	body, err := readObject(data)
	if err != nil {
		return nil, broken("", "Invalid JSON payload received. %v", err)
	}
	if e := a.schema.checkMessage(m.Request, body, ""); e != nil {
		return nil, e
	}
	return a.schema.stored(m.Request, body), nil
}

// not makes a test of what is not among the names.
func not(names ...string) func(string) bool {
	return func(field string) bool { return !slices.Contains(names, field) }
}

func only(names ...string) func(string) bool {
	return func(field string) bool { return slices.Contains(names, field) }
}
