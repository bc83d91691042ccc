package store

import (
	"context"
	"encoding/json"
	"fmt"

	"sallyport/enroll"
	"sallyport/mdm"
)

var _ enroll.FactStore = (*Plans)(nil)

// isActive is true of an active enrolment, and no condition that an index serves:
// with the one of states a planner would read all phones for each page of them.
const isActive = `CASE WHEN e.state IN ` + activeStates + ` THEN 1 ELSE 0 END = 1`

// What the evaluation of all phones reads, a page at a time: in the order of the
// enrolments' key, with a look-up by key for each of the rest.
const (
	factQuery = `SELECT e.id, e.device_id, e.user_id, e.platform, e.ownership, e.state, e.certificate_hash, e.access_rights, e.last_seen_at,
			e.withheld, e.report,
			COALESCE(u.id, ''), COALESCE(u.upn, ''), COALESCE(u.email, ''), COALESCE(u.username, ''), COALESCE(u.domain_name, ''),
			COALESCE(u.display_name, ''), COALESCE(u.first_name, ''), COALESCE(u.middle_name, ''), COALESCE(u.last_name, ''),
			COALESCE(u.group_names, 'null'), COALESCE(u.shared_mailbox, FALSE),
			COALESCE(c.sha256, ''), COALESCE(c.issuer, ''), COALESCE(c.not_after, 0), COALESCE(c.revoked_at, 0),
			COALESCE(v.state, ''), COALESCE(v.since, 0), COALESCE(v.at, 0), COALESCE(v.valid_until, 0), COALESCE(v.grace_until, 0),
			COALESCE(v.policy, ''), COALESCE(v.findings, ''),
			COALESCE(s.watched, 0), COALESCE(s.at, 0), COALESCE(s.running, 0)
		FROM enroll_enrollments e
		LEFT JOIN directory_users u ON u.id = e.user_id AND u.removed_at = 0
		LEFT JOIN certs_certificates c ON c.sha256 = e.certificate_hash
		LEFT JOIN compliance_verdicts v ON v.enrollment_id = e.id
		LEFT JOIN compliance_spells s ON s.enrollment_id = e.id
		WHERE e.id > $1 AND ` + isActive + ` ORDER BY e.id LIMIT $2`

	// installQuery reads the installations of profiles of those from $1 to $2.
	installQuery = `SELECT c.enrollment_id, c.id, c.subject, c.revision, c.state, c.error, c.chain, c.done_at
		FROM enroll_enrollments e JOIN enroll_commands c ON c.enrollment_id = e.id AND c.recent = TRUE AND c.request_type = 'InstallProfile'
		WHERE e.id >= $1 AND e.id <= $2 AND ` + isActive + ` ORDER BY e.id, c.seq DESC`

	catalogQuery = `SELECT (SELECT COUNT(*) FROM templates_revisions), (SELECT COUNT(*) FROM templates_security_policies)`
)

// Facts returns those of active enrolments.
func (s *Plans) Facts(ctx context.Context, after mdm.EnrollmentID, limit int) ([]enroll.Fact, error) {
	var facts []enroll.Fact
	err := s.db.read(ctx, "read facts", func(t *tx) error {
		rows, err := t.QueryContext(ctx, factQuery, after, pageLimit(limit))
		if facts, err = collect(rows, err, scanFact); err != nil || len(facts) == 0 {
			return err
		}
		var at enroll.Catalog
		if err := t.QueryRowContext(ctx, catalogQuery).Scan(&at.Templates, &at.Policies); err != nil {
			return err
		}
		for i := range facts {
			facts[i].Have.Catalog = at
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
		err := rows.Scan(textOf(&c.EnrollmentID), textOf(&c.ID), &c.Subject, &c.Revision, textOf(&c.State), &c.Error, &chain, stamp{&c.DoneAt})
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

func scanFact(row scanner) (enroll.Fact, error) {
	var f enroll.Fact
	var said watched
	var reported, groups, findings string
	e, u, c, v := &f.Have.Enrollment, &f.Have.User, &f.Certificate, &f.Verdict
	err := row.Scan(textOf(&e.ID), textOf(&e.DeviceID), textOf(&e.UserID), textOf(&e.Platform), textOf(&e.Ownership), textOf(&e.State),
		&e.CertificateHash, numberOf(&e.AccessRights), stamp{&e.LastSeenAt}, textOf(&e.Withheld), &reported,
		textOf(&u.ID), &u.UPN, &u.Email, &u.Username, &u.DomainName, &u.DisplayName, &u.FirstName, &u.MiddleName, &u.LastName, &groups, &u.SharedMailbox,
		&c.SHA256, &c.Issuer, stamp{&c.NotAfter}, stamp{&c.RevokedAt},
		textOf(&v.State), stamp{&v.Since}, stamp{&v.At}, stamp{&v.ValidUntil}, stamp{&v.GraceUntil}, &v.Policy, &findings,
		numberOf(&said.total), stamp{&said.at}, numberOf(&said.running))
	if err != nil {
		return f, err
	}
	f.Watched = said.said()
	if !v.At.IsZero() {
		v.EnrollmentID = e.ID
		f.Kept = findings
		if v.Findings, err = parseFindings(findings); err != nil {
			return f, fmt.Errorf("verdict of %s: %w", e.ID, err)
		}
	}
	if groups != "null" && groups != "[]" {
		if err := json.Unmarshal([]byte(groups), &u.Groups); err != nil {
			return f, fmt.Errorf("groups of %s: %w", u.ID, err)
		}
	}
	if f.Have.Report, err = judgedPart(reported); err != nil {
		return f, fmt.Errorf("report of %s: %w", e.ID, err)
	}
	return f, nil
}
