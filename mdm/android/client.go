package android

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"google.golang.org/api/androidmanagement/v1"
	"google.golang.org/api/option"

	"sallyport/internal/refusal"
)

const (
	callTimeout = 30 * time.Second
	// maxAnswer bounds an answer. The largest is a page of 100 devices with their
	// reports of apps.
	maxAnswer = 32 << 20
)

// ErrEndpoint says that the address of the API cannot be used.
var ErrEndpoint = errors.New("invalid Android Management API address")

// Client calls the Android Management API as one service account. Every error
// that comes from a call is a *Problem.
type Client struct {
	api     *androidmanagement.Service
	project string
}

// NewClient makes a client; it calls nobody. An empty endpoint is Google's; with
// another one the account's own token_uri is taken, too.
func NewClient(ctx context.Context, a Account, endpoint string) (*Client, error) {
	if a.key.IsZero() {
		return nil, refusal.New(ErrAccount, "", "is missing", "run: sallyport android signup --service-account FILE")
	}
	if endpoint == "" && a.token != tokenURL {
		return nil, refusal.New(ErrAccount, "token_uri", "is not Google's", "give the key file as it was downloaded from Google Cloud")
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.ResponseHeaderTimeout = callTimeout
	tokens, err := tokenProvider(a, &http.Client{Transport: limited{base}, Timeout: callTimeout})
	if err != nil {
		return nil, err
	}
	// A logger of ours: the library's own one would print assertions and answers
	// where an environment variable asks for it.
	options := []option.ClientOption{
		option.WithHTTPClient(&http.Client{Transport: signed{tokens: tokens, next: limited{base}}, Timeout: callTimeout}),
		option.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http") {
			return nil, refusal.New(ErrEndpoint, "amapi_url", "is no web address", "leave it empty for Google's, or write https://host/")
		}
		options = append(options, option.WithEndpoint(strings.TrimSuffix(endpoint, "/")+"/"))
	}
	api, err := androidmanagement.NewService(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("make the Android Management API client: %w", err)
	}
	return &Client{api: api, project: a.Project}, nil
}

// tokenProvider exchanges signed assertions for access tokens (RFC 7523). It
// fetches when a token is asked for: no goroutine refreshes one.
func tokenProvider(a Account, client *http.Client) (auth.TokenProvider, error) {
	provider, err := auth.New2LOTokenProvider(&auth.Options2LO{
		Email: a.Email, PrivateKey: []byte(a.key.Reveal()), PrivateKeyID: a.KeyID, TokenURL: a.token,
		Scopes: []string{androidmanagement.AndroidmanagementScope}, Client: client,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("sign in as the service account: %w", err)
	}
	return auth.NewCachedTokenProvider(provider, &auth.CachedTokenProviderOptions{DisableAsyncRefresh: true}), nil
}

// signed adds the access token to each request.
type signed struct {
	tokens auth.TokenProvider
	next   http.RoundTripper
}

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := s.tokens.Token(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token.Value)
	return s.next.RoundTrip(r)
}

// limited cuts off an answer that is too long: it fails, rather than fill memory.
type limited struct{ next http.RoundTripper }

func (b limited) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	return answer, nil
}
