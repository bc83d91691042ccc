package agent

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// companion is what the app that fetches certificates remembers. A customer has
// one of its own; this one goes by docs/android-agent.md. The key pairs that it
// installed are the phone's identities: their Profile is the app's package, their
// UUID the alias.
type companion struct {
	Failing  string               `json:"failing,omitempty"`  // scripted: why it cannot install a key pair
	Trouble  string               `json:"trouble,omitempty"`  // of its last run
	Services map[string]string    `json:"services,omitempty"` // by alias: where its certificate came from
	Asked    map[string]challenge `json:"asked,omitempty"`    // by alias: what a run that was cut off had been given
}

// scopeInstall lets an app put key pairs into the key store.
const scopeInstall = "CERT_INSTALL"

// Keys of its managed configuration.
const (
	companionServer = "server_url"
	companionToken  = "token"
	companionList   = "certificates"
)

// companionApp is the app as the policy sets it up.
type companionApp struct {
	pkg    string
	server *url.URL
	token  string
}

// companionOf finds the app in a policy: one that may install keys and has a key
// of the configuration. The states say which of its keys it can use; it can work
// if all of them.
func companionOf(policy object) (app companionApp, states []keyState, works, found bool) {
	for _, a := range list(policy, "applications") {
		config := inner(a, "managedConfiguration")
		has := func(key string) bool { _, ok := config[key]; return ok }
		if slices.Contains(texts(a, "delegatedScopes"), scopeInstall) && (has(companionServer) || has(companionToken) || has(companionList)) {
			app.pkg = str(a, "packageName")
			states, works = app.read(config)
			return app, states, works, true
		}
	}
	return companionApp{}, nil, false, false
}

func (a *companionApp) read(config object) (states []keyState, works bool) {
	works = true
	judge := func(key, wrong string) {
		if wrong == "" {
			states = append(states, keyState{key, "INFO", "applied"})
			return
		}
		works = false
		states = append(states, keyState{key, "ERROR", wrong})
	}
	server, err := url.Parse(str(config, companionServer))
	if err != nil || server.Scheme != "https" || server.Host == "" || server.User != nil || server.RawQuery != "" || server.Fragment != "" {
		judge(companionServer, "is not https://HOST/PATH")
	} else {
		a.server = server
		judge(companionServer, "")
	}
	a.token = str(config, companionToken)
	if a.token == "" || strings.ContainsFunc(a.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		judge(companionToken, "is missing, or no token")
	} else {
		judge(companionToken, "")
	}
	judge(companionList, wrongCertificates(config[companionList]))
	return states, works
}

// wrongCertificates says what is wrong with the list of aliases and revisions.
func wrongCertificates(v any) string {
	all, ok := v.([]any)
	if !ok {
		return "is missing, or no list"
	}
	seen := map[string]bool{}
	for _, one := range all {
		o, _ := one.(object)
		alias := str(o, "alias")
		if !isAlias(alias) || str(o, "revision") == "" || seen[alias] {
			return "has an entry without alias or revision, or an alias twice"
		}
		seen[alias] = true
	}
	return ""
}

func isAlias(text string) bool {
	return text != "" && len(text) <= 100 && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == '/' })
}

// companionStates are what the app tells Google of its configuration, and of
// what went wrong when it last ran.
func (s *state) companionStates(states []keyState) []keyState {
	if trouble := s.Android.Companion.Trouble; trouble != "" {
		states = append(states, keyState{companionList, "ERROR", trouble})
	}
	return states
}

// runCompanion has the app do what the server wants of it. Its trouble is its
// own: the phone goes on.
func (p *Phone) runCompanion(ctx context.Context) error {
	m := p.s.Android.Managed
	app, _, works, _ := companionOf(m.policy())
	if !works || !slices.Contains(m.Installed, app.pkg) {
		return nil
	}
	err := p.settleKeys(ctx, app)
	if err != nil && (ctx.Err() != nil || !serverTrouble(err)) {
		return err
	}
	p.s.Android.Companion.Trouble = ""
	if err != nil {
		p.s.Android.Companion.Trouble = reasonText(err)
		p.tell("companion app", "%v", err)
	}
	return p.saveAll()
}

// serverTrouble is what a server, or the way to it, does to the phone.
func serverTrouble(err error) bool {
	return slices.ContainsFunc([]error{ErrUnreachable, ErrRefused, ErrProtocol, ErrUntrusted, ErrTooMany},
		func(one error) bool { return errors.Is(err, one) })
}

// settleKeys goes through all certificates: what goes wrong with one does not
// keep the others waiting.
func (p *Phone) settleKeys(ctx context.Context, app companionApp) error {
	wanted, err := p.wantedCertificates(ctx, app)
	if err != nil {
		return err
	}
	var trouble []error
	for _, w := range wanted {
		err := p.settleKey(ctx, app, w)
		if err != nil && (ctx.Err() != nil || !serverTrouble(err)) {
			return err
		}
		if err != nil {
			trouble = append(trouble, fmt.Errorf("%s: %w", w.Alias, err))
		}
	}
	return errors.Join(trouble...)
}

// settleKey does what one certificate needs. A key pair that the server does not
// know of is told of before another one is made: the last run may have been cut
// off in between.
func (p *Phone) settleKey(ctx context.Context, app companionApp, w wantedCertificate) error {
	have := p.s.keyPair(w.Alias)
	news := have != nil && fingerprintOf(have.Certificate) != w.SHA256
	switch w.State {
	case keyRemove:
		p.s.dropKey(w.Alias)
		if err := p.save(); err != nil {
			return err
		}
		p.tell("companion app", "key %s removed", w.Alias)
		return p.tellKey(ctx, app, w.Alias, keyStatus{State: keyRemoved})
	case keyInstalled:
		switch {
		case news:
			return p.tellInstalled(ctx, app, w.Alias)
		case have == nil && !slices.Contains(p.s.Android.Keys, w.Alias):
			return p.tellKey(ctx, app, w.Alias, keyStatus{State: keyRemoved})
		}
		return nil
	}
	if news {
		err := p.tellInstalled(ctx, app, w.Alias)
		if !errors.Is(err, errStale) {
			return err
		}
	}
	return p.replaceKey(ctx, app, w)
}

// replaceKey fetches a certificate and installs it with its key, in place of the
// one that has the alias.
func (p *Phone) replaceKey(ctx context.Context, app companionApp, w wantedCertificate) error {
	id, service, err := p.fetchKey(ctx, app, w)
	if err != nil {
		if undecided(ctx, err) || errors.Is(err, errStale) { // nothing has failed yet
			return err
		}
		return errors.Join(err, p.tellKey(ctx, app, w.Alias, keyStatus{State: keyFailed, Reason: reasonText(err)}))
	}
	p.s.dropKey(w.Alias)
	p.s.Identities = append(p.s.Identities, id)
	c := &p.s.Android.Companion
	if c.Services == nil {
		c.Services = map[string]string{}
	}
	c.Services[w.Alias] = service
	if err := p.save(); err != nil {
		return err
	}
	p.tellIssued("companion app", w.Alias, id.Certificate)
	return p.tellInstalled(ctx, app, w.Alias)
}

func (p *Phone) tellInstalled(ctx context.Context, app companionApp, alias string) error {
	return p.tellKey(ctx, app, alias, keyStatus{State: keyInstalled, SHA256: fingerprintOf(p.s.keyPair(alias).Certificate)})
}

// dropKey forgets what is known of an alias; its key file goes with the next
// forget.
func (s *state) dropKey(alias string) {
	s.Identities = keep(s.Identities, func(id identity) bool { return id.UUID != alias })
	s.Android.Keys = keep(s.Android.Keys, func(k string) bool { return k != alias })
	delete(s.Android.Companion.Services, alias)
	delete(s.Android.Companion.Asked, alias)
}

// reasonText is an error as it may be reported: one line of at most 512 bytes.
func reasonText(err error) string {
	const limit = 512
	text := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}
