package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// promise is a write that the server acknowledged, as it can be read again.
type promise struct {
	path string // GET
	says string // what is in the answer
}

// promises are all of a run.
type promises struct {
	mu   sync.Mutex
	made []promise
	read int // of made, those that news has handed out
}

func (p *promises) add(one promise) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = append(p.made, one)
}

// news are those that were made since it was last called.
func (p *promises) news() []promise {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := slices.Clone(p.made[p.read:])
	p.read = len(p.made)
	return fresh
}

func (p *promises) all() []promise {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.made)
}

// yaml is a body that is sent as it is, for the revision after match.
type yaml struct {
	text  string
	match int
}

// ask sends one request, once. The error says that there was no whole answer.
func (k *killing) ask(ctx context.Context, method, path string, in any) (int, []byte, error) {
	body, err := json.Marshal(in)
	source, isYAML := in.(yaml)
	if isYAML {
		body = []byte(source.text)
	}
	r, err2 := http.NewRequestWithContext(ctx, method, k.local.URL+path, bytes.NewReader(body))
	if err := errors.Join(err, err2); err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+k.local.Token.Reveal())
	r.Header.Set("Content-Type", "application/json")
	if isYAML {
		r.Header.Set("Content-Type", "application/yaml")
		r.Header.Set("If-Match", strconv.Quote(strconv.Itoa(source.match)))
	}
	resp, err := k.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// write sends one request, once, and remembers what it promises when it is
// acknowledged. One that was not answered may have been carried out or not.
func (k *killing) write(method, path string, in any, promised func(answer []byte) (promise, error)) (acknowledged bool, err error) {
	status, answer, err := k.ask(k.ctx, method, path, in)
	switch {
	case err != nil:
		k.lost.Add(1)
		pause(k.ctx, outage)
		return false, nil
	case status/100 != 2:
		return false, fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	p, err := promised(answer)
	if err != nil {
		return false, err
	}
	k.promises.add(p)
	return true, nil
}

// get reads until there is an answer, which must be 200.
func (k *killing) get(path string, out any) error {
	for {
		status, answer, err := k.ask(k.ctx, http.MethodGet, path, nil)
		switch {
		case err != nil && !pause(k.ctx, outage):
			return err
		case err != nil:
			continue
		case status != http.StatusOK:
			return fmt.Errorf("GET %s: %d %s", path, status, answer)
		}
		return decode(answer, out)
	}
}

func decode(answer []byte, out any) error {
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%w in %s", err, answer)
	}
	return nil
}

// kept reads again what was acknowledged.
func (k *killing) kept(made []promise) error {
	for _, p := range made {
		var answer json.RawMessage
		if err := k.get(p.path, &answer); err != nil {
			return fmt.Errorf("an acknowledged write is lost: %w", err)
		}
		if !bytes.Contains(answer, []byte(p.says)) {
			return fmt.Errorf("an acknowledged write is lost: GET %s does not say %q: %s", p.path, p.says, answer)
		}
	}
	return nil
}

// certificates are the identities that were ever seen on a phone, by SHA-256.
type certificates struct {
	mu    sync.Mutex
	phone map[string]string
}

func (c *certificates) note(s agent.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phone == nil {
		c.phone = map[string]string{}
	}
	for _, one := range s.Certificates {
		if one.Identity {
			c.phone[one.SHA256] = s.UDID
		}
	}
}

// certified compares the trail with the phones: no phone holds what was not
// recorded, and no invitation brought two identities.
func (k *killing) certified() error {
	issued, identities := map[string]bool{}, map[string]int{}
	for after := int64(0); ; {
		var page adminapi.AuditEntries
		if err := k.get(fmt.Sprintf("/api/v1/audit?action=certificate.issue&limit=1000&after=%d", after), &page); err != nil {
			return err
		}
		for _, e := range page.Entries {
			if e.Outcome != "done" {
				continue
			}
			issued[e.Target] = true
			if e.Detail["rule"] == "mdm-identity" {
				identities[e.Detail["invitation"]]++
			}
		}
		if after = page.Next; after == 0 {
			break
		}
	}
	for sha256, udid := range k.shown.phone {
		if !issued[sha256] {
			return fmt.Errorf("the phone %s holds the certificate %s, which nobody recorded", udid, sha256)
		}
	}
	for invitation, n := range identities {
		if n != 1 {
			return fmt.Errorf("the invitation %s brought %d identities", invitation, n)
		}
	}
	k.t.Logf("%d certificates recorded, %d seen on phones", len(issued), len(k.shown.phone))
	return nil
}
