package agent

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AMAPIScript is what goes wrong at a stand-in, and where it pushes to. The zero
// AMAPIScript pushes nowhere and answers everything.
type AMAPIScript struct {
	Push      string         `json:"push,omitempty"`      // URL that Pub/Sub pushes to
	CA        string         `json:"ca,omitempty"`        // PEM: roots that pushes trust besides the system's, and those of AMAPIOptions
	Quota     int            `json:"quota,omitempty"`     // requests a minute; more get 429 RESOURCE_EXHAUSTED
	Revoked   bool           `json:"revoked,omitempty"`   // the service account's key was deleted
	Troubles  []AMAPITrouble `json:"troubles,omitempty"`  // the first that fits a call is used up
	Duplicate int            `json:"duplicate,omitempty"` // so many messages are pushed twice
	Reorder   int            `json:"reorder,omitempty"`   // so many messages are kept until all are there, and pushed the last one first
}

// AMAPITrouble is one thing that goes wrong with calls.
type AMAPITrouble struct {
	Kind   string `json:"kind"`             // see TroubleKinds
	Method string `json:"method,omitempty"` // "enterprises.policies.patch", "token exchange"; empty: any
	Times  int    `json:"times,omitempty"`  // 0: once; Always: until the script is replaced
	// Done: what was asked for is done before the answer goes wrong.
	Done bool `json:"done,omitempty"`
	// After is what Retry-After says in seconds; 0: there is none.
	After int `json:"after,omitempty"`
}

// troubles are the kinds, with the refusal that each of them is.
var troubles = map[string]*apiError{
	"500":     {code: http.StatusInternalServerError, status: "INTERNAL", message: "Internal error encountered."},
	"503":     {code: http.StatusServiceUnavailable, status: "UNAVAILABLE", message: "The service is currently unavailable."},
	"429":     {code: http.StatusTooManyRequests, status: resourceExhausted, message: quotaExceeded, details: []any{errorInfo("RATE_LIMIT_EXCEEDED")}},
	"project": denied("PROJECT_NOT_PERMITTED", "The project is not permitted to use this feature of the Android Management API."),
	"disabled": denied("SERVICE_DISABLED",
		"Android Management API has not been used in this project before or it is disabled."),
	"timeout": {code: http.StatusGatewayTimeout, status: "DEADLINE_EXCEEDED"}, // never sent: nothing comes
	"half":    {code: http.StatusOK},                                          // the answer, cut in two
}

const quotaExceeded = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'androidmanagement.googleapis.com'."

// TroubleKinds are what AMAPITrouble.Kind may be: 429, 500, 503, half (the answer
// breaks off in the middle), timeout (nothing comes), disabled and project (403
// SERVICE_DISABLED and PROJECT_NOT_PERMITTED).
func TroubleKinds() []string { return slices.Sorted(maps.Keys(troubles)) }

// Play gives the stand-in a script in place of what is left of the old one.
func (a *AMAPI) Play(s AMAPIScript) error {
	for i, t := range s.Troubles {
		if troubles[t.Kind] == nil {
			return fmt.Errorf("%w: trouble %q is none of %v", ErrInvalid, t.Kind, TroubleKinds())
		}
		if t.Times == 0 {
			s.Troubles[i].Times = 1
		}
	}
	if s.Push != "" && !validPush(s.Push) {
		return fmt.Errorf("%w: push: not an address that begins with http:// or https://", ErrInvalid)
	}
	if s.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA)) {
		return fmt.Errorf("%w: ca: no certificate in PEM form", ErrInvalid)
	}
	a.mu.Lock()
	a.script = s
	a.script.Troubles = slices.Clone(s.Troubles)
	a.s.Queue = append(a.s.Queue, a.push.held...)
	a.push.held = nil
	a.mu.Unlock()
	a.wakePusher()
	return nil
}

// Script is what is left of it.
func (a *AMAPI) Script() AMAPIScript {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.script
	s.Troubles = slices.Clone(s.Troubles)
	return s
}

func (a *AMAPI) revoked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.script.Revoked
}

func (a *AMAPI) count(method string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[method]++
}

// trouble takes the first that fits.
func (a *AMAPI) trouble(method string) (t AMAPITrouble, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, a.script.Troubles, ok = spend(a.script.Troubles,
		func(t AMAPITrouble) bool { return t.Method == "" || t.Method == method },
		func(t *AMAPITrouble) *int { return &t.Times })
	return t, ok
}

// play makes a call go wrong. It reports false where the call is to be carried
// out, and only its answer goes wrong.
func (a *AMAPI) play(w http.ResponseWriter, r *http.Request, t AMAPITrouble) bool {
	if t.Done || t.Kind == "half" {
		return false
	}
	a.spoil(w, r, t, nil)
	return true
}

// longestSilence bounds how long a call hangs whose caller has no time limit.
const longestSilence = 2 * time.Minute

// spoil answers a call wrongly; body is what the right answer would have been.
func (a *AMAPI) spoil(w http.ResponseWriter, r *http.Request, t AMAPITrouble, body []byte) {
	switch t.Kind {
	case "timeout":
		select {
		case <-r.Context().Done():
		case <-a.ending:
		case <-time.After(longestSilence):
		}
		panic(http.ErrAbortHandler) // closes the connection without a word
	case "half":
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	default:
		if t.After > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(t.After))
		}
		troubles[t.Kind].write(w)
	}
}

// quotaMinute counts the calls of one minute.
type quotaMinute struct {
	at    time.Time
	calls int
}

func (a *AMAPI) withinQuota() *apiError {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now().Truncate(time.Minute)
	if !a.minute.at.Equal(now) {
		a.minute = quotaMinute{at: now}
	}
	a.minute.calls++
	if a.script.Quota > 0 && a.minute.calls > a.script.Quota {
		return troubles["429"]
	}
	return nil
}

// ParseTrouble reads KIND, KIND:N, KIND:N:METHOD, with done: in front or not.
func ParseTrouble(text string) (AMAPITrouble, error) {
	rest, done := strings.CutPrefix(text, "done:")
	parts := strings.SplitN(rest, ":", 3)
	t := AMAPITrouble{Kind: parts[0], Times: 1, Done: done}
	if troubles[t.Kind] == nil {
		return t, fmt.Errorf("%w: trouble %q is none of %v", ErrInvalid, t.Kind, TroubleKinds())
	}
	var err error
	if len(parts) > 1 {
		t.Times, err = times("trouble", parts[1])
	}
	if len(parts) > 2 {
		t.Method = parts[2]
	}
	return t, err
}
