package enroll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm/android"
)

// ErrNoAndroid says that no enterprise at Google is there to enrol Android phones in.
var ErrNoAndroid = errors.New("android is not set up")

// ErrGoogle says that Google refused, or did not answer; the refusal has its words.
var ErrGoogle = errors.New("google refused")

// google puts Google's refusal into words for whoever waits for the answer.
func google(what string, err error) error {
	problem := (*android.Problem)(nil)
	if !errors.As(err, &problem) {
		return fmt.Errorf("%s: %w", what, err)
	}
	plain := problem.Plain
	if problem.Reason != "" {
		plain += " (" + problem.Reason + ")"
	}
	return refusal.New(ErrGoogle, "", plain, problem.Next)
}

// Androids leads Android phones from an invitation to a working mailbox, and out
// again, by way of Google's Android Management API. It shares invitations,
// templates, security policies and acts with Service. All fields are needed.
type Androids struct {
	Service     *Service
	Enterprises AndroidEnterpriseStore
	Tickets     AndroidTicketStore
	Phones      AndroidPhoneStore
	Policies    AndroidPolicyStore
	Operations  AndroidOperationStore
	Lists       AndroidListStore
	Companions  AndroidCompanionStore
	// Connect makes the API as a service account has it. It calls nobody.
	Connect func(ctx context.Context, a android.Account) (AndroidAPI, error)
	Notify  func() // called when a phone became due

	mu   sync.Mutex
	last connection
}

// connection is the API under the account that it was made for.
type connection struct {
	account string // hash of its file
	api     AndroidAPI
}

var _ android.Admitter = (*Androids)(nil)

// Validate reports every field that is missing.
func (a *Androids) Validate() error {
	var faults []error
	for _, f := range []struct {
		there bool
		field string
	}{
		{a.Service != nil, "Service"}, {a.Enterprises != nil, "Enterprises"}, {a.Tickets != nil, "Tickets"}, {a.Phones != nil, "Phones"},
		{a.Policies != nil, "Policies"}, {a.Operations != nil, "Operations"}, {a.Lists != nil, "Lists"}, {a.Companions != nil, "Companions"}, {a.Connect != nil, "Connect"}, {a.Notify != nil, "Notify"},
	} {
		if !f.there {
			faults = append(faults, errors.New("enroll.Androids: "+f.field+" is missing"))
		}
	}
	return errors.Join(faults...)
}

func (a *Androids) now() time.Time { return a.Service.now() }

func (a *Androids) log() *slog.Logger { return a.Service.log() }

// enterprise returns the enterprise and its API; ErrNoAndroid while there is none.
func (a *Androids) enterprise(ctx context.Context) (AndroidEnterprise, AndroidAPI, error) {
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	if errors.Is(err, ErrNotFound) || err == nil && e.Name == "" {
		return AndroidEnterprise{}, AndroidAPI{}, refusal.New(ErrNoAndroid, "", "this server is not signed up for Android yet", "see: sallyport android signup")
	}
	if err != nil {
		return AndroidEnterprise{}, AndroidAPI{}, fmt.Errorf("look up android enterprise: %w", err)
	}
	api, err := a.connect(ctx, e.Account)
	return e, api, err
}

// Ready reports whether phones can be enrolled.
func (a *Androids) Ready(ctx context.Context) (bool, error) {
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up android enterprise: %w", err)
	}
	return e.Name != "", nil
}

// connect makes the API once for each account: it keeps connections.
func (a *Androids) connect(ctx context.Context, file secret.Value) (AndroidAPI, error) {
	key := string(secret.Hash(file.Reveal()))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last.account == key {
		return a.last.api, nil
	}
	account, err := android.ParseAccount([]byte(file.Reveal()))
	if err != nil {
		return AndroidAPI{}, fmt.Errorf("read service account: %w", err)
	}
	api, err := a.Connect(ctx, account)
	if err != nil {
		return AndroidAPI{}, fmt.Errorf("connect to Google: %w", err)
	}
	a.last = connection{key, api}
	return api, nil
}
