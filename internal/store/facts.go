package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"sallyport/enroll"
	"sallyport/mdm"
)

var _ enroll.FactStore = (*Plans)(nil)

// isActive is true of an active enrolment, and no condition that an index serves:
// with the one of states a planner would read all phones for each page of them.
const isActive = `CASE WHEN e.state IN ` + activeStates + ` THEN 1 ELSE 0 END = 1`

// What the evaluation of all phones reads, a page at a time: in the order of the
// enrolments' key, with a look-up by key for each of the rest. Of what is not on
// record the columns are NULL.
const (
	factQuery = `SELECT e.id, e.device_id, e.user_id, e.platform, e.ownership, e.state, e.certificate_hash, e.access_rights, e.last_seen_at,
			e.withheld, e.report,
			u.shared_mailbox, u.upn, u.email, u.username, u.domain_name, u.display_name, u.first_name, u.middle_name, u.last_name, u.group_names,
			c.issuer, c.not_after, c.revoked_at,
			v.state, v.since, v.at, v.valid_until, v.grace_until, v.policy, v.findings,
			s.watched, s.at, s.running
		FROM enroll_enrollments e
		LEFT JOIN directory_users u ON u.id = e.user_id AND u.removed_at = 0
		LEFT JOIN certs_certificates c ON c.sha256 = e.certificate_hash
		LEFT JOIN compliance_verdicts v ON v.enrollment_id = e.id
		LEFT JOIN compliance_spells s ON s.enrollment_id = e.id
		WHERE e.id > $1 AND ` + isActive + ` ORDER BY e.id LIMIT $2`

	// installQuery reads the installations of profiles of those from $1 to $2.
	installQuery = `SELECT c.enrollment_id, c.subject, c.revision, c.state, c.error, c.chain, c.done_at
		FROM enroll_enrollments e JOIN enroll_commands c ON c.enrollment_id = e.id AND c.recent = TRUE AND c.request_type = 'InstallProfile'
		WHERE e.id >= $1 AND e.id <= $2 AND ` + isActive + ` ORDER BY e.id, c.seq DESC`

	catalogQuery = `SELECT (SELECT COUNT(*) FROM templates_revisions), (SELECT COUNT(*) FROM templates_security_policies)`
)

// Facts returns those of active enrolments.
func (s *Plans) Facts(ctx context.Context, after mdm.EnrollmentID, limit int) ([]enroll.Fact, error) {
	var facts []enroll.Fact
	err := s.db.read(ctx, "read facts", func(t *tx) error {
		var err error
		if facts, err = t.facts(ctx, after, pageLimit(limit)); err != nil || len(facts) == 0 {
			return err
		}
		var at enroll.Catalog
		if err := t.QueryRowContext(ctx, catalogQuery).Scan(&at.Templates, &at.Policies); err != nil {
			return err
		}
		for i := range facts {
			facts[i].Have.Catalog = at
		}
		if err := t.sent(ctx, facts); err != nil {
			return err
		}
		return t.installations(ctx, facts)
	})
	return facts, err
}

// installations adds the commands, the newest first.
func (t *tx) installations(ctx context.Context, facts []enroll.Fact) error {
	rows, err := t.QueryContext(ctx, installQuery, facts[0].Have.Enrollment.ID, facts[len(facts)-1].Have.Enrollment.ID)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	i := 0
	for rows.Next() {
		c := mdm.Command{RequestType: "InstallProfile"}
		var chain string
		err := rows.Scan(textOf(&c.EnrollmentID), &c.Subject, &c.Revision, textOf(&c.State), &c.Error, &chain, stamp{&c.DoneAt})
		if err == nil && chain != "null" {
			err = document{&c.Chain}.Scan(chain)
		}
		if err != nil {
			return err
		}
		for i < len(facts) && facts[i].Have.Enrollment.ID < c.EnrollmentID {
			i++
		}
		if i < len(facts) && facts[i].Have.Enrollment.ID == c.EnrollmentID {
			facts[i].Have.Commands = append(facts[i].Have.Commands, c)
		}
	}
	return rows.Err()
}

func (t *tx) facts(ctx context.Context, after mdm.EnrollmentID, limit int) ([]enroll.Fact, error) {
	rows, err := t.QueryContext(ctx, factQuery, after, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	facts := make([]enroll.Fact, 0, limit)
	var row factRow
	into := row.columns()
	for rows.Next() {
		row = factRow{}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		if err := row.finish(); err != nil {
			return nil, err
		}
		facts = append(facts, row.fact)
	}
	return facts, rows.Err()
}

// factRow is one row of factQuery: one after the other is scanned into the same.
type factRow struct {
	fact                       enroll.Fact
	said                       watched
	reported, groups, findings string
	user, certificate          bool // are on record
}

// columns are where factQuery goes. A column of nothing on record leaves its place.
func (r *factRow) columns() []any {
	e, u, c, v := &r.fact.Have.Enrollment, &r.fact.Have.User, &r.fact.Certificate, &r.fact.Verdict
	return []any{
		textOf(&e.ID), textOf(&e.DeviceID), textOf(&e.UserID), textOf(&e.Platform), textOf(&e.Ownership), textOf(&e.State),
		&e.CertificateHash, numberOf(&e.AccessRights), stamp{&e.LastSeenAt}, textOf(&e.Withheld), &r.reported,
		joined{flag{&u.SharedMailbox}, &r.user}, joined{to: textOf(&u.UPN)}, joined{to: textOf(&u.Email)}, joined{to: textOf(&u.Username)},
		joined{to: textOf(&u.DomainName)}, joined{to: textOf(&u.DisplayName)}, joined{to: textOf(&u.FirstName)},
		joined{to: textOf(&u.MiddleName)}, joined{to: textOf(&u.LastName)}, joined{to: textOf(&r.groups)},
		joined{textOf(&c.Issuer), &r.certificate}, joined{to: stamp{&c.NotAfter}}, joined{to: stamp{&c.RevokedAt}},
		joined{to: textOf(&v.State)}, joined{to: stamp{&v.Since}}, joined{to: stamp{&v.At}}, joined{to: stamp{&v.ValidUntil}},
		joined{to: stamp{&v.GraceUntil}}, joined{to: textOf(&v.Policy)}, joined{to: textOf(&r.findings)},
		joined{to: numberOf(&r.said.total)}, joined{to: stamp{&r.said.at}}, joined{to: numberOf(&r.said.running)},
	}
}

// joined scans what a LEFT JOIN may not find, and notes that it was there.
type joined struct {
	to    sql.Scanner
	there *bool
}

func (j joined) Scan(src any) error {
	if src == nil {
		return nil
	}
	if j.there != nil {
		*j.there = true
	}
	return j.to.Scan(src)
}

// flag scans a BOOLEAN: SQLite has numbers for it.
type flag struct{ to *bool }

func (f flag) Scan(src any) error {
	switch v := src.(type) {
	case bool:
		*f.to = v
	case int64:
		*f.to = v != 0
	default:
		return fmt.Errorf("flag column holds %T", src)
	}
	return nil
}

// finish reads the texts that were scanned.
func (r *factRow) finish() (err error) {
	f := &r.fact
	e, u, v := &f.Have.Enrollment, &f.Have.User, &f.Verdict
	f.Watched = r.said.said()
	if r.user {
		u.ID = e.UserID
	}
	if r.certificate {
		f.Certificate.SHA256 = e.CertificateHash
	}
	if !v.At.IsZero() {
		v.EnrollmentID, f.Kept = e.ID, r.findings
		if v.Findings, err = parseFindings(r.findings); err != nil {
			return fmt.Errorf("verdict of %s: %w", e.ID, err)
		}
	}
	if u.Groups, err = parseNames(r.groups); err != nil {
		return fmt.Errorf("groups of %s: %w", u.ID, err)
	}
	if f.Have.Report, err = judgedPart(r.reported); err != nil {
		return fmt.Errorf("report of %s: %w", e.ID, err)
	}
	return nil
}

// parseNames reads a stored list of names, usually without encoding/json. "" is none.
func parseNames(text string) ([]string, error) {
	if text == "" || text == "null" || text == "[]" {
		return nil, nil
	}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		names := make([]string, 0, strings.Count(text, ",")+1)
		for ok {
			var name string
			if rest, ok = member(rest, `"`, &name); !ok {
				break
			}
			names = append(names, name)
			if rest == "]" {
				return names, nil
			}
			rest, ok = strings.CutPrefix(rest, ",")
		}
	}
	var names []string
	err := json.Unmarshal([]byte(text), &names)
	return names, err
}
