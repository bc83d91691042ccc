package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// phone is one enrolment with its owner.
type phone struct {
	access.Phone
	owner directory.UserID
}

const phoneColumns = `e.id, e.user_id, e.state, e.withheld, e.platform, e.ownership, e.eas_device_id, e.report,
	COALESCE(v.state, ''), COALESCE(v.since, 0), COALESCE(v.at, 0), COALESCE(v.valid_until, 0), COALESCE(v.grace_until, 0),
	COALESCE(v.policy, ''), COALESCE(v.findings, 'null')`

func scanPhone(row scanner) (phone, error) {
	var p phone
	var eas string
	v := &p.Verdict
	err := row.Scan(textOf(&p.EnrollmentID), textOf(&p.owner), textOf(&p.State), textOf(&p.Withheld), textOf(&p.Platform),
		textOf(&p.Ownership), &eas, toldBy{&p.Phone}, textOf(&v.State), stamp{&v.Since}, stamp{&v.At}, stamp{&v.ValidUntil},
		stamp{&v.GraceUntil}, &v.Policy, openFindings{&v.Findings})
	if v.State != "" {
		v.EnrollmentID = p.EnrollmentID
	}
	if eas != "" {
		p.EASKey = access.Canonical(eas)
	}
	return p, err
}

// openFindings scans a verdict's findings but those that are met. That of the mail
// profile stays: policies ask for it.
type openFindings struct{ to *[]compliance.Finding }

func (o openFindings) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("findings column holds %T", src)
	}
	all, err := parseFindings(text)
	*o.to = slices.DeleteFunc(all, func(f compliance.Finding) bool {
		return f.State == compliance.Met && f.Rule != compliance.RuleMailProfile
	})
	return err
}

// toldBy scans a report for what a decision looks at. The groups of a report
// stand in the order of mdm.Report, the device first: what follows, which is
// most of it, is not read.
type toldBy struct{ p *access.Phone }

func (t toldBy) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("report column holds %T", src)
	}
	groups := json.NewDecoder(strings.NewReader(text))
	if _, err := groups.Token(); err != nil {
		return err
	}
	for groups.More() {
		name, err := groups.Token()
		if err != nil {
			return err
		}
		if name != "device" {
			if err := groups.Decode(&skipped{}); err != nil {
				return err
			}
			continue
		}
		var device struct {
			Product   string `json:"product"`
			OSVersion string `json:"os_version"`
		}
		err = groups.Decode(&device)
		t.p.Product, t.p.OSVersion = device.Product, device.OSVersion
		return err
	}
	_, err := groups.Token()
	return err
}

// skipped is a JSON value that nobody looks at.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// fillPhones: an enrolment that is held, or was refused, is nobody's phone. One
// that has ended counts as long as somebody may still ask as that phone.
func (t *tx) fillPhones(ctx context.Context, byID map[directory.UserID]*access.Entry, of scope) error {
	query, args := of.phones(phoneColumns)
	rows, err := t.QueryContext(ctx, query, args...)
	phones, err := collect(rows, err, scanPhone)
	if err != nil {
		return err
	}
	certificates, err := t.mailCertificates(ctx, of)
	if err != nil {
		return err
	}
	slices.SortFunc(phones, activeFirst)
	for _, p := range phones {
		e := byID[p.owner]
		if e == nil || p.State.Ended() && p.EASKey == "" && !bound(e.Devices, p.EnrollmentID) {
			continue
		}
		p.Certificates = certificates[p.EnrollmentID]
		slices.Sort(p.Certificates)
		e.Phones = append(e.Phones, p.Phone)
	}
	return nil
}

// activeFirst orders phones: the active ones first, then the newest.
func activeFirst(a, b phone) int {
	return cmp.Or(
		cmp.Compare(rank(a.State), rank(b.State)),
		cmp.Compare(b.EnrollmentID, a.EnrollmentID))
}

func rank(s mdm.EnrollmentState) int {
	if s.Active() {
		return 0
	}
	return 1
}

func bound(devices []access.Device, id mdm.EnrollmentID) bool {
	return slices.ContainsFunc(devices, func(d access.Device) bool { return d.Bound == id })
}

// mailCertificates are those by which a mail client may prove to be on a phone.
func (t *tx) mailCertificates(ctx context.Context, of scope) (map[mdm.EnrollmentID][]string, error) {
	query, args := of.mailCertificates(t.db.now())
	rows, err := t.QueryContext(ctx, query, args...)
	list := map[mdm.EnrollmentID][]string{}
	_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
		var id mdm.EnrollmentID
		var sha256 string
		if err = row.Scan(&id, &sha256); err == nil {
			list[id] = append(list[id], sha256)
		}
		return none, err
	})
	return list, err
}
