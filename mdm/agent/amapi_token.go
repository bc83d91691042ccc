package agent

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	androidScope  = "https://www.googleapis.com/auth/androidmanagement"
	jwtBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	bearerLife    = time.Hour
	longestJWT    = time.Hour
	clockSkew     = 5 * time.Minute
	maxAssertion  = 8 << 10
	tokenExchange = "token exchange"
)

// tokenRefusal is an answer of the token endpoint (RFC 6749, section 5.2).
type tokenRefusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (t *tokenRefusal) Error() string { return t.Code + ": " + t.Description }

func grant(format string, args ...any) *tokenRefusal {
	return &tokenRefusal{"invalid_grant", fmt.Sprintf(format, args...)}
}

// exchange gives an access token for an assertion that the service account signed
// (RFC 7523, section 2.1; https://developers.google.com/identity/protocols/oauth2/service-account#httprest).
func (a *AMAPI) exchange(w http.ResponseWriter, r *http.Request) {
	a.count(tokenExchange)
	trouble, troubled := a.trouble(tokenExchange)
	if troubled && a.play(w, r, trouble) {
		return
	}
	refusal, deleted := a.assertion(r)
	if deleted || refusal == nil && a.revoked() {
		writeToken(w, http.StatusBadRequest, grant("Invalid JWT Signature.")) // what a deleted key gets
		return
	}
	if refusal != nil {
		a.note(tokenExchange, refusal.Error())
		writeToken(w, http.StatusBadRequest, refusal)
		return
	}
	token := "ya29." + random("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 43)
	a.mu.Lock()
	now := a.o.Now()
	for old, until := range a.s.Bearers {
		if now.After(until) && !until.IsZero() {
			delete(a.s.Bearers, old)
		}
	}
	a.s.Bearers[token] = now.Add(bearerLife)
	err := a.keep()
	a.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer := object{"access_token": token, "expires_in": int(bearerLife/time.Second) - 1, "token_type": "Bearer"}
	if troubled {
		body, _ := json.Marshal(answer) // it is all text
		a.spoil(w, r, trouble, body)
		return
	}
	writeToken(w, http.StatusOK, answer)
}

func writeToken(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

// assertion checks what a caller signed; deleted says that it was with a key that
// the account had once.
func (a *AMAPI) assertion(r *http.Request) (refusal *tokenRefusal, deleted bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		return &tokenRefusal{"invalid_request", "not a form that is posted"}, false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAssertion+1))
	if err != nil || len(body) > maxAssertion {
		return &tokenRefusal{"invalid_request", "the form is too large"}, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) != 2 || len(form["grant_type"]) != 1 || len(form["assertion"]) != 1 {
		return &tokenRefusal{"invalid_request", "not exactly grant_type and assertion"}, false
	}
	if form.Get("grant_type") != jwtBearer {
		return &tokenRefusal{"unsupported_grant_type", "Invalid grant_type: " + jwtBearer + " is expected"}, false
	}
	a.mu.Lock()
	account := a.account
	var h jwtHeader
	header, _, _, _ := splitJWT(form.Get("assertion"))
	deleted = json.Unmarshal(header, &h) == nil && a.deleted[h.KeyID]
	a.mu.Unlock()
	return account.verify(form.Get("assertion"), a.o.Now()), deleted
}

// jwtHeader and jwtClaims are RFC 7515 and RFC 7519, as far as Google documents
// them for service accounts.
type jwtHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid"`
}

type jwtClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Scope    string `json:"scope"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// verify checks an assertion: RS256 by the account's key, for this endpoint and
// for our scope alone, and for at most an hour.
func (s *serviceAccount) verify(assertion string, now time.Time) *tokenRefusal {
	header, claims, signature, ok := splitJWT(assertion)
	if !ok {
		return grant("Bad Request: the assertion is no JWT")
	}
	var h jwtHeader
	var c jwtClaims
	if json.Unmarshal(header, &h) != nil || json.Unmarshal(claims, &c) != nil {
		return grant("Bad Request: the assertion is no JWT")
	}
	sum := sha256.Sum256([]byte(assertion[:strings.LastIndexByte(assertion, '.')]))
	issued, expires := time.Unix(c.Issued, 0), time.Unix(c.Expires, 0)
	switch {
	case h.Algorithm != "RS256" || h.Type != "" && h.Type != "JWT":
		return grant("Invalid JWT: alg must be RS256")
	case h.KeyID != s.PrivateKeyID:
		return grant("Invalid JWT Signature: the key ID is not that of the account")
	case rsa.VerifyPKCS1v15(s.public, crypto.SHA256, sum[:], signature) != nil:
		return grant("Invalid JWT Signature.")
	case c.Issuer != s.ClientEmail:
		return grant("Invalid grant: account not found")
	case c.Subject != "" && c.Subject != s.ClientEmail:
		return &tokenRefusal{"unauthorized_client", "Client is unauthorized to act for another user"}
	case c.Audience != s.TokenURI:
		return grant("Invalid JWT: aud is not the token endpoint")
	case c.Scope == "":
		return &tokenRefusal{"invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	case c.Scope != androidScope:
		return &tokenRefusal{"invalid_scope", "more, or less, than " + androidScope + " is asked for"}
	case c.Issued == 0 || issued.After(now.Add(clockSkew)):
		return grant("Invalid JWT: iat is missing or in the future")
	case !expires.After(now), expires.Sub(issued) > longestJWT, expires.Sub(now) > longestJWT+clockSkew:
		return grant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	}
	return nil
}

// splitJWT takes a compact JWS apart: three parts of base64url without padding.
func splitJWT(text string) (header, claims, signature []byte, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, nil, nil, false
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || len(raw[i]) == 0 {
			return nil, nil, nil, false
		}
	}
	return raw[0], raw[1], raw[2], true
}

// authorized checks the access token of a call.
func (a *AMAPI) authorized(r *http.Request) *apiError {
	no := &apiError{
		code: http.StatusUnauthorized, status: "UNAUTHENTICATED",
		message: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.mu.Lock()
	until, known := a.s.Bearers[token]
	a.mu.Unlock()
	switch {
	case a.revoked():
	case !ok || len(r.Header.Values("Authorization")) != 1 || !known:
		no.breach = true
	case a.o.Now().After(until): // happens to a clock that is slow
	default:
		return nil
	}
	return no
}
