package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// States of a certificate, as the server has them and as the app reports them.
const (
	keyWanted    = "wanted"
	keyInstalled = "installed"
	keyRenew     = "renew"
	keyRemove    = "remove"
	keyRemoved   = "removed"
	keyFailed    = "failed"
)

const (
	maxCompanionBody = 64 << 10
	typeJSON         = "application/json"
	typeProblem      = "application/problem+json"
)

// errStale says that the server has another list by now: it wants no such
// certificate, or knows better what became of it.
var errStale = errors.New("the list of certificates is another one")

// wantedCertificate is one that the server wants, or has, on the phone.
type wantedCertificate struct {
	Alias    string `json:"alias"`
	Revision string `json:"revision"`
	State    string `json:"state"`
	Subject  string `json:"subject"`
	Key      struct {
		Type string `json:"type"`
		Size int    `json:"size"`
	} `json:"key"`
	SHA256   string    `json:"sha256,omitempty"` // of the one that the app told of last
	NotAfter time.Time `json:"not_after,omitzero"`
}

// challenge lets the app ask for one certificate.
type challenge struct {
	URL       string    `json:"url"`
	Challenge string    `json:"challenge"`
	ExpiresAt time.Time `json:"expires_at"`
}

// keyStatus is what became of a certificate.
type keyStatus struct {
	State  string `json:"state"`
	SHA256 string `json:"sha256,omitempty"`
	Reason string `json:"reason,omitempty"`
}

var lowerSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// wantedCertificates asks which certificates there should be.
func (p *Phone) wantedCertificates(ctx context.Context, app companionApp) ([]wantedCertificate, error) {
	body, err := p.askCompanionServer(ctx, app, http.MethodGet, "/certificates", nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return readWanted(body)
}

func readWanted(body []byte) ([]wantedCertificate, error) {
	var out struct {
		Certificates []wantedCertificate `json:"certificates"`
	}
	if err := readExactly(body, &out); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	seen := map[string]bool{}
	for _, w := range out.Certificates {
		switch {
		case !isAlias(w.Alias) || seen[w.Alias] || w.Revision == "":
			return nil, fmt.Errorf("certificates: %w: an entry without alias or revision, or an alias twice", ErrProtocol)
		case !slices.Contains([]string{keyWanted, keyInstalled, keyRenew, keyRemove}, w.State):
			return nil, fmt.Errorf("certificates: %w: state %q of %s", ErrProtocol, w.State, w.Alias)
		case (w.SHA256 == "") != w.NotAfter.IsZero() || w.SHA256 != "" && !lowerSHA256.MatchString(w.SHA256):
			return nil, fmt.Errorf("certificates: %w: sha256 and not_after of %s", ErrProtocol, w.Alias)
		case w.State == keyInstalled && w.SHA256 == "":
			return nil, fmt.Errorf("certificates: %w: %s is installed, and nobody knows which", ErrProtocol, w.Alias)
		}
		seen[w.Alias] = true
	}
	return out.Certificates, nil
}

// askChallenge asks for leave to ask for a certificate.
func (p *Phone) askChallenge(ctx context.Context, app companionApp, alias string) (challenge, error) {
	body, err := p.askCompanionServer(ctx, app, http.MethodPost, "/certificates/"+url.PathEscape(alias)+"/challenge", nil, http.StatusCreated)
	if err != nil {
		return challenge{}, err
	}
	return readChallenge(body)
}

func readChallenge(body []byte) (challenge, error) {
	var out challenge
	if err := readExactly(body, &out); err != nil {
		return out, fmt.Errorf("challenge: %w", err)
	}
	u, err := url.Parse(out.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || out.Challenge == "" || out.ExpiresAt.IsZero() {
		return out, fmt.Errorf("challenge: %w: url, challenge or expires_at is missing, or the URL is none with https", ErrProtocol)
	}
	return out, nil
}

// tellKey reports what became of a certificate.
func (p *Phone) tellKey(ctx context.Context, app companionApp, alias string, status keyStatus) error {
	_, err := p.askCompanionServer(ctx, app, http.MethodPost, "/certificates/"+url.PathEscape(alias)+"/status", status, http.StatusNoContent)
	return err
}

// askCompanionServer is one exchange with the server. The token is in the header alone.
func (p *Phone) askCompanionServer(ctx context.Context, app companionApp, method, path string, in any, want int) ([]byte, error) {
	const what = "companion server"
	r := request{what: what, method: method, url: app.server.String() + path, header: map[string]string{
		"Authorization": "Bearer " + app.token, "Accept": typeJSON + ", " + typeProblem,
	}}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		r.body, r.header["Content-Type"] = body, typeJSON
	}
	a, err := p.send(ctx, r)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch {
	case a.status >= http.StatusBadRequest && kind != typeProblem:
		return nil, fmt.Errorf("%s: %w: %d without a problem document", what, ErrProtocol, a.status)
	case a.status == http.StatusNotFound, a.status == http.StatusConflict:
		return nil, fmt.Errorf("%w: %w", errStale, said(what, a.status, problemText(a.body)))
	case a.status >= http.StatusBadRequest:
		return nil, said(what, a.status, problemText(a.body))
	case a.status != want:
		return nil, fmt.Errorf("%s: %w: answered %d", what, ErrProtocol, a.status)
	case a.header.Get("Cache-Control") != "no-store":
		return nil, fmt.Errorf("%s: %w: the answer may be stored", what, ErrProtocol)
	case want != http.StatusNoContent && kind != typeJSON, len(a.body) > maxCompanionBody:
		return nil, fmt.Errorf("%s: %w: answered with type %q, or too long", what, ErrProtocol, kind)
	}
	return a.body, nil
}

// problemText is the first fault of a problem document (RFC 9457), else its title.
func problemText(body []byte) string {
	var problem struct {
		Title  string `json:"title"`
		Errors []struct {
			Field  string `json:"field"`
			Reason string `json:"reason"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	if len(problem.Errors) > 0 {
		return problem.Errors[0].Field + " " + problem.Errors[0].Reason
	}
	return problem.Title
}

// readExactly reads one JSON object with the fields of out and no others.
func readExactly(body []byte, out any) error {
	if _, err := readObject(body); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("%w: not the JSON that is expected here: %w", ErrProtocol, err)
	}
	return nil
}
