package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// waitSeconds is one turn of waiting at the side port.
const waitSeconds = 25

// AwaitPush returns when the stand-in push service, whose side port is at that
// URL, has a push for this phone. A push with another magic than the phone's is
// ignored, as an iPhone does. The phone can be used meanwhile.
func (p *Phone) AwaitPush(ctx context.Context, sideURL string) error {
	client := &http.Client{Transport: &http.Transport{Proxy: nil}} // loopback needs no proxy
	defer client.CloseIdleConnections()
	for {
		wait, magic, err := p.pushAddress()
		if err != nil {
			return err
		}
		got, err := askSide(ctx, client, strings.TrimSuffix(sideURL, "/")+"/wait", wait)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case got == magic:
			p.tell("pushed", "the server wants to talk")
			return nil
		case got != "":
			p.tell("push ignored", "it is not from the server that manages this phone")
		}
	}
}

// pushAddress is what this phone is reached by.
func (p *Phone) pushAddress() (waitRequest, string, error) {
	end, err := p.begin()
	if err != nil {
		return waitRequest{}, "", err
	}
	defer end()
	e := p.s.Enrolment
	if p.s.Stage != StageEnrolled || e == nil {
		return waitRequest{}, "", ErrNotEnrolled
	}
	return waitRequest{Token: hex.EncodeToString(e.PushToken), Topic: e.Topic, Seconds: waitSeconds}, e.PushMagic, nil
}

// askSide returns the magic of a push, or nothing when none came.
func askSide(ctx context.Context, client *http.Client, url string, in waitRequest) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, (waitSeconds+10)*time.Second)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("wait for a push: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("%w: side port: %w", ErrInvalid, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return "", fmt.Errorf("wait for a push: %w: %w", ErrUnreachable, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return "", nil
	}
	var push struct {
		MDM string `json:"mdm"`
	}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(answer.Body, maxPayload)).Decode(&push) != nil {
		return "", fmt.Errorf("wait for a push: %w with %d", ErrRefused, answer.StatusCode)
	}
	return push.MDM, nil
}
