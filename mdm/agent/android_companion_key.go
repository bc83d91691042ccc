package agent

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// fetchKey makes a key and gets its certificate over SCEP: by the challenge of a
// run that was cut off, by the signature of the certificate that is due, else by a
// new challenge. service is where it came from.
func (p *Phone) fetchKey(ctx context.Context, app companionApp, w wantedCertificate) (id identity, service string, err error) {
	c := &p.s.Android.Companion
	if c.Failing != "" {
		return id, "", fmt.Errorf("key store: %w: %s", ErrRefused, c.Failing)
	}
	if asked, ok := c.Asked[w.Alias]; ok {
		if id, err = p.enrolKey(ctx, app, w, scepPayload{challenge: asked.Challenge}, asked.URL); err == nil || undecided(ctx, err) {
			return id, asked.URL, err
		}
	}
	delete(c.Asked, w.Alias)
	if old, from := p.s.keyPair(w.Alias), c.Services[w.Alias]; w.State == keyRenew && old != nil && from != "" {
		if id, err = p.enrolKey(ctx, app, w, scepPayload{renews: old}, from); err == nil || undecided(ctx, err) {
			return id, from, err
		}
	}
	for range 2 { // a challenge may be void: somebody else used one that was given later
		id, service, err = p.byChallenge(ctx, app, w)
		if !errors.Is(err, ErrRefused) || errors.Is(err, errStale) {
			break
		}
	}
	return id, service, err
}

// byChallenge asks for a challenge and uses it. What a request without an answer
// was made of stays known.
func (p *Phone) byChallenge(ctx context.Context, app companionApp, w wantedCertificate) (id identity, service string, err error) {
	c := &p.s.Android.Companion
	asked, err := p.askChallenge(ctx, app, w.Alias)
	if err != nil {
		return id, "", err
	}
	if c.Asked == nil {
		c.Asked = map[string]challenge{}
	}
	c.Asked[w.Alias] = asked
	if err := p.save(); err != nil {
		return id, "", err
	}
	id, err = p.enrolKey(ctx, app, w, scepPayload{challenge: asked.Challenge}, asked.URL)
	if err == nil || !undecided(ctx, err) {
		delete(c.Asked, w.Alias)
	}
	return id, asked.URL, err
}

// undecided reports that a request may yet be answered: the same bytes are sent
// again by the next run.
func undecided(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrTooMany) || !serverTrouble(err)
}

// enrolKey completes q, a challenge or a renewal, and runs it.
func (p *Phone) enrolKey(ctx context.Context, app companionApp, w wantedCertificate, q scepPayload, service string) (identity, error) {
	u, err := url.Parse(service)
	if err != nil {
		return identity{}, fmt.Errorf("certificate service: %w: %w", ErrProtocol, err)
	}
	if w.Key.Type != "RSA" || w.Key.Size != smallestKey && w.Key.Size != largeKey {
		return identity{}, fmt.Errorf("certificate of %s: %w: no key of type %q and size %d is made here", w.Alias, ErrProtocol, w.Key.Type, w.Key.Size)
	}
	if q.subject, err = parseDN(w.Subject); err != nil {
		return identity{}, fmt.Errorf("certificate of %s: %w: %w", w.Alias, ErrProtocol, err)
	}
	q.uuid, q.url, q.keySize, q.keyUsage = w.Alias, u, w.Key.Size, keyUsageSign|keyUsageEncrypt
	q.overTLS = u.Host == app.server.Host
	if q.renews != nil { // each renewal is another request
		q.uuid += " after " + fingerprintOf(q.renews.Certificate)
	}
	id, err := p.obtain(ctx, q, app.pkg, p.pool())
	id.UUID = w.Alias
	return id, err
}

func (p *Phone) tellIssued(step, alias string, der []byte) {
	if c, err := x509.ParseCertificate(der); err == nil {
		p.tell(step, "key %s installed: %s, valid until %s", alias, c.Subject, c.NotAfter.UTC().Format("2006-01-02"))
	}
}

// parseDN reads a distinguished name as text (RFC 4514, section 3), its last part
// first. Values in hex are not known.
func parseDN(text string) (pkix.RDNSequence, error) {
	var name pkix.RDNSequence
	set := pkix.RelativeDistinguishedNameSET{}
	for rest, more := text, true; more; {
		part, end, next, err := nextAttribute(rest)
		if err != nil {
			return nil, fmt.Errorf("subject %q: %w", text, err)
		}
		set = append(set, part)
		if end != '+' {
			name = append(name, set)
			set = nil
		}
		rest, more = next, end != 0
	}
	slices.Reverse(name)
	return name, nil
}

var errDN = errors.New("is no distinguished name like CN=alice,O=Example")

// nextAttribute reads TYPE=VALUE and what ends it: ',', '+' or, at the end of the
// text, 0.
func nextAttribute(text string) (a pkix.AttributeTypeAndValue, end byte, rest string, err error) {
	kind, text, ok := strings.Cut(text, "=")
	oid, known := subjectOID(strings.ToUpper(strings.TrimSpace(kind)))
	if !ok || !known || strings.HasPrefix(text, "#") {
		return a, 0, "", errDN
	}
	var value []byte
	for len(text) > 0 && text[0] != ',' && text[0] != '+' {
		n := 1
		switch {
		case strings.ContainsRune(`";<>`, rune(text[0])):
			return a, 0, "", errDN
		case text[0] != '\\':
			value = append(value, text[0])
		case len(text) >= 2 && strings.ContainsRune(` "#+,;<=>\`, rune(text[1])):
			value, n = append(value, text[1]), 2
		default:
			pair, err := hex.DecodeString(text[1:min(3, len(text))])
			if err != nil || len(pair) != 1 {
				return a, 0, "", errDN
			}
			value, n = append(value, pair[0]), 3
		}
		text = text[n:]
	}
	if len(value) == 0 || !utf8.Valid(value) {
		return a, 0, "", errDN
	}
	a = pkix.AttributeTypeAndValue{Type: oid, Value: string(value)}
	if text == "" {
		return a, 0, "", nil
	}
	return a, text[0], text[1:], nil
}
