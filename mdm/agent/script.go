package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Always as Times means for ever.
const Always = -1

// Script is what happens to a phone that a server cannot help: each entry comes
// true at the next occasion, so many times as it says, and is then used up. It is
// kept with the phone. The zero Script is a phone that behaves.
type Script struct {
	// NotNow puts commands off. Those that Apple promises never to put off are
	// carried out all the same.
	NotNow []Deferral `json:"not_now,omitempty"`
	// Refuse answers commands with an error and does not carry them out.
	Refuse []Refusal `json:"refuse,omitempty"`
	// LoseAnswers loses the server's answer to so many MDM messages after the
	// server has sent it: the phone sends the same bytes again, as its Retry says.
	LoseAnswers int `json:"lose_answers,omitempty"`
	// LoseResults loses so many results before they are sent, and the phone
	// forgets them: its command was carried out, and the server never hears of it.
	// The connection ends there.
	LoseResults int `json:"lose_results,omitempty"`
	// LoseReplies loses the answer to so many certificate requests after the
	// server has sent it. The phone asks no second time: the profile that wanted the
	// certificate is not installed.
	LoseReplies int `json:"lose_replies,omitempty"`
	// RepeatResults sends so many results twice; what the server answers to the
	// second one is lost, what it answered to the first one is obeyed.
	RepeatResults int `json:"repeat_results,omitempty"`
	// HoldResults keeps so many results back. The connection ends there; the
	// results arrive at the end of a later one, the last of them first.
	HoldResults int `json:"hold_results,omitempty"`
	// LoseCheckOut loses the next CheckOut.
	LoseCheckOut bool `json:"lose_check_out,omitempty"`
}

// Deferral is a NotNow.
type Deferral struct {
	RequestType string `json:"request_type,omitempty"` // empty: whatever may be put off
	Times       int    `json:"times"`                  // 0: once
}

// Refusal is an error in a phone's words.
type Refusal struct {
	RequestType string      `json:"request_type"`
	Status      string      `json:"status,omitempty"` // "Error" when empty, or "CommandFormatError"
	Chain       []ChainItem `json:"chain"`            // the root cause last
	Times       int         `json:"times"`            // 0: once
}

// ChainItem is one link of an ErrorChain.
type ChainItem struct {
	Domain string `json:"domain"`
	Code   int    `json:"code"`
	Text   string `json:"text"`
}

// Play gives the phone a script in place of what is left of the old one.
func (p *Phone) Play(s Script) error {
	return p.change(func(have *state) error {
		have.Script = s
		return nil
	})
}

// use takes one of n occasions.
func use(n *int) bool {
	if *n == 0 {
		return false
	}
	if *n > 0 {
		*n--
	}
	return true
}

// spend finds the first entry that fits and takes one of its times; what is used
// up is left out. The old list stays as it was: a backup may hold it.
func spend[T any](list []T, fits func(T) bool, times func(*T) *int) (found T, rest []T, ok bool) {
	for i, entry := range list {
		if !fits(entry) {
			continue
		}
		rest = append(rest, list[:i]...)
		left := entry
		n := times(&left)
		if *n = max(*n, Always); *n != Always {
			*n = max(*n, 1) - 1 // 0 means once
		}
		if *n != 0 {
			rest = append(rest, left)
		}
		return entry, append(rest, list[i+1:]...), true
	}
	return found, list, false
}

func (s *Script) defers(request string) (ok bool) {
	_, s.NotNow, ok = spend(s.NotNow,
		func(d Deferral) bool { return d.RequestType == "" || d.RequestType == request },
		func(d *Deferral) *int { return &d.Times })
	return ok
}

func (s *Script) refuses(request string) (r Refusal, ok bool) {
	r, s.Refuse, ok = spend(s.Refuse,
		func(r Refusal) bool { return r.RequestType == request },
		func(r *Refusal) *int { return &r.Times })
	return r, ok
}

// scripted is the outcome that a script wants.
func (o outcome) scripted(r Refusal) outcome {
	o.status = statusError
	if r.Status != "" {
		o.status = r.Status
	}
	for _, link := range r.Chain {
		cause := refuse(ErrInvalid, link.Domain, link.Code, "%s", link.Text)
		o.chain, o.told = append(o.chain, cause.item()), cause.Error()
	}
	return o
}

// report sends a message of a poll, as the script wants.
func (p *Phone) report(ctx context.Context, r request) ([]byte, error) {
	isResult := p.s.Answer != nil
	body, err := p.put(ctx, r, commandType)
	if err != nil || !isResult || !use(&p.s.Script.RepeatResults) {
		return body, err
	}
	p.tell("script", "%s sent twice", r.what)
	if err := p.save(); err != nil {
		return nil, err
	}
	if _, err := p.put(ctx, r, commandType); err != nil {
		return nil, err
	}
	return body, nil
}

// mislay loses or keeps back the result that is about to be sent, where the
// script says so. stop ends the connection.
func (p *Phone) mislay(ctx context.Context, what string) (stop bool, err error) {
	s := &p.s.Script
	switch {
	case use(&s.LoseResults):
		p.tell("script", "%s lost before it was sent", what)
	case use(&s.HoldResults):
		p.tell("script", "%s kept back", what)
		p.s.Held = append(p.s.Held, p.s.Answer)
	default:
		return false, nil
	}
	ending := p.s.Ending
	p.s.Answer, p.s.Ending = nil, ""
	if err := p.save(); err != nil {
		return true, err
	}
	if ending != "" {
		return true, p.end(ctx, ending)
	}
	return true, nil
}

// loseAnswer says whether the script loses the answer that just came.
func (p *Phone) loseAnswer(r request) bool {
	if !r.losable || !use(&p.s.Script.LoseAnswers) {
		return false
	}
	p.tell("script", "the answer to %s is lost", r.what)
	return true
}

// errLost is what a phone sees of an answer that did not arrive.
var errLost = errors.New("answer lost on the way")

// parseDeferral reads N or N:RequestType.
func parseDeferral(value string) (Deferral, error) {
	count, request, _ := strings.Cut(value, ":")
	n, err := times("notnow", count)
	return Deferral{RequestType: request, Times: n}, err
}

// parseRefusal reads RequestType:Domain:Code or RequestType:Domain:Code:N.
func parseRefusal(value string) (Refusal, error) {
	parts := strings.Split(value, ":")
	if len(parts) < 3 || len(parts) > 4 || parts[0] == "" || parts[1] == "" {
		return Refusal{}, fmt.Errorf("%w: refuse: %q is not RequestType:Domain:Code, or that with :N", ErrInvalid, value)
	}
	code, err := strconv.Atoi(parts[2])
	if err != nil {
		return Refusal{}, fmt.Errorf("%w: refuse: %q is not an error number", ErrInvalid, parts[2])
	}
	r := Refusal{RequestType: parts[0], Times: 1, Chain: []ChainItem{{Domain: parts[1], Code: code, Text: "Scripted error."}}}
	if len(parts) == 4 {
		r.Times, err = times("refuse", parts[3])
	}
	return r, err
}

// times reads how often: 1 to 10000, or "always".
func times(key, value string) (int, error) {
	if value == "always" {
		return Always, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 10_000 {
		return 0, fmt.Errorf("%w: %s: %q is neither a number from 1 to 10000 nor always", ErrInvalid, key, value)
	}
	return n, nil
}
