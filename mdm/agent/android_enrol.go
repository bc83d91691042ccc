package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// enrolAndroid takes an invitation's URL, a link of Google's, or the text of a QR
// code, and ends with a managed phone that has told what it is.
func (p *Phone) enrolAndroid(ctx context.Context, where string) error {
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	if p.s.Stage == StageEnrolled {
		return ErrAlreadyEnrolled
	}
	if err := p.knowAPI(); err != nil {
		return err
	}
	door, err := p.tokenAt(ctx, where)
	if err != nil {
		return err
	}
	answer, err := p.register(ctx, door)
	if err != nil {
		return err
	}
	if answer.SigninURL != "" {
		if answer, err = p.signIn(ctx, answer.SigninURL, door.qr); err != nil {
			return err
		}
	}
	a := p.s.Android
	a.Managed = &management{Device: answer.Device, Secret: answer.Secret, Mode: answer.Mode, Ownership: answer.Ownership, SpecificID: answer.SpecificID}
	a.Fresh, p.s.Stage = false, StageEnrolled
	if err := p.save(); err != nil {
		return err
	}
	p.tell("enrolled", "%s, %s", spokenMode(a.Managed), lastPart(answer.Device))
	return p.syncAndroid(ctx)
}

func spokenMode(m *management) string {
	switch {
	case m.Mode == deviceOwner:
		return "the company manages the whole phone"
	case m.Ownership == companyOwned:
		return "work profile on the company's phone"
	}
	return "work profile on a personal phone"
}

// knowAPI remembers the stand-in's address.
func (p *Phone) knowAPI() error {
	if p.o.AMAPI != "" && p.s.Android.API != p.o.AMAPI {
		if err := p.s.setAPI(p.o.AMAPI); err != nil {
			return err
		}
		return p.save()
	}
	if p.s.Android.API == "" {
		return fmt.Errorf("%w: a phone in software is not let in at Google: name the stand-in's address (amapi)", ErrInvalid)
	}
	return nil
}

// tokenAt finds the enrolment token.
func (p *Phone) tokenAt(ctx context.Context, where string) (androidDoor, error) {
	where = strings.TrimSpace(where)
	if strings.HasPrefix(where, "{") {
		token, ok := qrToken(where)
		if !ok {
			return androidDoor{}, fmt.Errorf("%w: not the text of a QR code for enrolment", ErrInvalid)
		}
		return androidDoor{token: token, qr: true}, nil
	}
	if token, _ := googleLink(where); token != "" {
		return androidDoor{token: token}, nil
	}
	address, err := invitationURL(where)
	if err != nil {
		return androidDoor{}, err
	}
	door, err := p.browse(ctx, "enrolment page", address)
	if err != nil {
		return door, err
	}
	p.tell("page followed", "%s to a token", shown(address))
	return door, nil
}

// register takes a token to Google: from inside a running phone by link, from the
// first screen after a factory reset by QR code.
func (p *Phone) register(ctx context.Context, door androidDoor) (enrolAnswer, error) {
	a, f := p.s.Android, p.s.Facts
	switch {
	case door.qr && !a.Fresh:
		return enrolAnswer{}, fmt.Errorf("%w: a QR code is read at the first screen after a factory reset only: set fresh=yes", ErrInvalid)
	case !door.qr && a.Fresh:
		return enrolAnswer{}, fmt.Errorf("%w: a phone that was just reset has no browser: set fresh=no, or give it the QR code", ErrInvalid)
	}
	var out enrolAnswer
	err := p.standIn(ctx, "enrolment", "/phone/enrol", enrolRequest{Token: door.token, Phone: phoneIdentity{
		Hardware: a.Hardware, Serial: f.Serial, IMEI: f.IMEI, Brand: a.Brand, Model: f.Product, Manufacturer: a.Manufacturer,
		API: apiLevel(f.OS), Fresh: a.Fresh, Private: !a.Company,
	}}, &out)
	return out, err
}

// signIn goes through the organisation's own sign-in page.
func (p *Phone) signIn(ctx context.Context, page string, qr bool) (enrolAnswer, error) {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return enrolAnswer{}, fmt.Errorf("sign-in page: %w: its address is none", ErrProtocol)
	}
	p.tell("sign-in page", "https://%s%s", u.Host, u.Path)
	door, err := p.browse(ctx, "sign-in page", u)
	if err != nil {
		return enrolAnswer{}, err
	}
	door.qr = qr // the phone is still where it was
	out, err := p.register(ctx, door)
	if err == nil && out.SigninURL != "" {
		err = fmt.Errorf("sign-in page: %w: it leads back to itself", ErrProtocol)
	}
	return out, err
}

// standIn asks the stand-in, again while it does not answer.
func (p *Phone) standIn(ctx context.Context, what, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	a, err := p.send(ctx, request{
		what: what, method: http.MethodPost, url: strings.TrimSuffix(p.s.Android.API, "/") + path, body: body,
		header: map[string]string{"Content-Type": "application/json"},
	})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return said(what, a.status, string(bytes.TrimSpace(a.body)))
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("%s: %w: not the JSON that is expected here", what, ErrProtocol)
	}
	return nil
}
