package agent

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"sallyport/internal/bounded"
)

const (
	checkInType = "application/x-apple-aspen-mdm-checkin"
	commandType = "application/x-apple-aspen-mdm; charset=UTF-8"
)

// authenticate is the first check-in message
// (https://developer.apple.com/documentation/devicemanagement/authenticate).
func (p *Phone) authenticate(ctx context.Context) error {
	message := map[string]any{
		"MessageType": "Authenticate",
		"Topic":       p.s.Enrolment.Topic,
		"UDID":        p.s.Facts.UDID,
	}
	if p.s.Enrolment.Rights&rightDeviceInfo != 0 {
		message["OSVersion"] = p.s.Facts.OS
		message["BuildVersion"] = build(p.s.Facts.OS)
		message["ProductName"] = p.s.Facts.Product
		message["SerialNumber"] = p.s.Facts.Serial
		message["IMEI"] = p.s.Facts.IMEI
	}
	if err := p.checkIn(ctx, "Authenticate", message, false); err != nil {
		return err
	}
	p.s.Stage = StageAuthenticated
	return p.save()
}

// tokenUpdate makes the enrolment complete, and tells later of a new push token
// (https://developer.apple.com/documentation/devicemanagement/token_update).
func (p *Phone) tokenUpdate(ctx context.Context) error {
	e := p.s.Enrolment
	message := map[string]any{
		"MessageType":           "TokenUpdate",
		"Topic":                 e.Topic,
		"UDID":                  p.s.Facts.UDID,
		"Token":                 e.PushToken,
		"PushMagic":             e.PushMagic,
		"AwaitingConfiguration": p.s.Facts.Awaiting,
	}
	if len(e.UnlockToken) > 0 {
		message["UnlockToken"] = e.UnlockToken
	}
	if err := p.checkIn(ctx, "TokenUpdate", message, false); err != nil {
		return err
	}
	told := "Authenticate, TokenUpdate accepted"
	if p.s.Stage == StageEnrolled {
		told = "TokenUpdate accepted"
	}
	p.s.Stage, p.s.TokenDue = StageEnrolled, false
	if err := p.save(); err != nil {
		return err
	}
	p.tell("checked in", "%s", told)
	return nil
}

func (p *Phone) checkIn(ctx context.Context, what string, message map[string]any, once bool) error {
	body, err := encodePlist(message)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err = p.put(ctx, request{what: what, url: p.s.Enrolment.CheckInURL, body: body, once: once}, checkInType)
	return err
}

// put sends a signed MDM message and returns the body of a 200. A 401, or the
// 403 that Apple reserves for it, ends the management: an iPhone does the same.
func (p *Phone) put(ctx context.Context, r request, contentType string) ([]byte, error) {
	signature, err := p.sign(r.body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.what, err)
	}
	r.method = http.MethodPut
	r.header = map[string]string{"Content-Type": contentType, "User-Agent": agentMDM, "Mdm-Signature": signature}
	r.losable = true
	a, err := p.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		p.s.Counts.Refused++
		if err := p.save(); err != nil {
			return nil, err
		}
	}
	switch {
	case a.status == http.StatusOK:
		return a.body, nil
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden && from(p.s.Facts.OS, "17.0") && unrecognized(a.body):
		p.tell("management removed", "the server answered %s with %d, which tells an iPhone to leave", r.what, a.status)
		if err := p.leave(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", r.what, ErrDismissed)
	default:
		return nil, fmt.Errorf("%s: %w with %d", r.what, ErrRefused, a.status)
	}
}

// unrecognized knows the 403 with which a server says, since iOS 17, that it does
// not know the phone: JSON or a property list
// (https://developer.apple.com/documentation/devicemanagement/errorcodeunrecognizeddevice).
func unrecognized(body []byte) bool {
	var e struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(body, &e) != nil {
		d, err := decodeDict(body)
		if err != nil {
			return false
		}
		e.Code, _ = d["code"].(string)
	}
	return e.Code == "com.apple.unrecognized.device"
}

// sign is the value of the Mdm-Signature header.
func (p *Phone) sign(body []byte) (string, error) {
	id, err := p.mdmIdentity()
	if err != nil {
		return "", err
	}
	cert, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	key, err := p.disk.key(id.Key)
	if err != nil {
		return "", err
	}
	der, err := signDetached(body, cert, key)
	if err != nil {
		return "", err
	}
	header := base64.StdEncoding.EncodeToString(der)
	if len(header) > bounded.MaxHeader {
		return "", fmt.Errorf("signature of %d bytes does not fit a header", len(header))
	}
	return header, nil
}

func (p *Phone) mdmIdentity() (identity, error) {
	for _, id := range p.s.Identities {
		if id.Profile == p.s.Enrolment.Identifier && strings.EqualFold(id.UUID, p.s.Enrolment.IdentityRef) {
			return id, nil
		}
	}
	return identity{}, fmt.Errorf("%w: its identity is gone", ErrNotEnrolled)
}

// Unenroll is what happens when the owner removes the management in Settings:
// a CheckOut, once and at best effort, and everything that came with the
// management goes, mail included.
func (p *Phone) Unenroll(ctx context.Context) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	if p.s.Stage == StageNone {
		return ErrNotEnrolled
	}
	if p.s.Android != nil {
		return p.unenrolAndroid(ctx)
	}
	return p.unenroll(ctx)
}

func (p *Phone) unenroll(ctx context.Context) error {
	switch {
	case p.s.Stage != StageEnrolled || !p.s.Enrolment.CheckOut:
	case p.s.Script.LoseCheckOut:
		p.s.Script.LoseCheckOut = false
		p.tell("check-out", "lost on the way; an iPhone does not try again")
	default:
		message := map[string]any{"MessageType": "CheckOut", "Topic": p.s.Enrolment.Topic, "UDID": p.s.Facts.UDID}
		if err := p.checkIn(ctx, "CheckOut", message, true); err != nil {
			p.tell("check-out", "not delivered (%v); an iPhone does not try again", err)
		} else {
			p.tell("check-out", "accepted")
		}
	}
	if p.s.Stage != StageNone {
		if err := p.leave(); err != nil {
			return err
		}
	}
	p.tell("management removed", "profiles, accounts and certificates are gone")
	return nil
}

// leave deletes what the management brought. Accounts made by hand stay.
func (p *Phone) leave() error {
	var names []string
	for _, prof := range p.s.Profiles {
		names = append(names, prof.Identifier)
	}
	for _, name := range names {
		p.s = p.s.without(name)
	}
	p.s.Stage, p.s.Enrolment, p.s.Pending, p.s.Answer = StageNone, nil, nil, nil
	p.s.Ending, p.s.Held, p.s.TokenDue = "", nil, false
	if err := p.save(); err != nil {
		return err
	}
	p.dropConnections()
	return p.disk.forget(p.s)
}
