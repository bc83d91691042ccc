package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Plans keeps what passes between a phone and us.
type Plans struct{ db *DB }

var (
	_ enroll.PlanStore    = (*Plans)(nil)
	_ enroll.CommandStore = (*Plans)(nil)
)

// Plans returns the store of contacts and commands.
func (db *DB) Plans() *Plans { return &Plans{db} }

// recentCommands is how many commands of one request type and subject a plan sees.
const recentCommands = "5"

// What every poll of every phone reads, in one statement: rows of several kinds,
// by look-ups in indexes (TestQueryPlans). Only the revisions are counted, in the
// index of their numbers: there are a few for each template. Acts are rare, so
// they are read only where there is one.
//
// A column holds values of one type in all kinds of rows, which are as wide as an
// enrolment. One that a command needs holds no NULL in any.
const (
	planEnrollment = `SELECT 0 AS part, 0 AS nth, ` + enrollmentColumns + ` FROM enroll_enrollments e WHERE `
	planUser       = ` UNION ALL SELECT 1, 0, COALESCE(u.id, ''), COALESCE(u.upn, ''), COALESCE(u.email, ''), COALESCE(u.username, ''),
			COALESCE(u.domain_name, ''), COALESCE(u.display_name, ''), COALESCE(u.first_name, ''), COALESCE(u.middle_name, ''),
			COALESCE(u.last_name, ''), (SELECT COUNT(*) FROM templates_revisions), COALESCE(u.group_names, 'null'),
			COALESCE(u.shared_mailbox, FALSE), COALESCE(u.created_at, 0), COALESCE(u.updated_at, 0),
			(SELECT COUNT(*) FROM templates_security_policies), CASE WHEN EXISTS (SELECT 1 FROM enroll_actions a
				WHERE a.enrollment_id = e.id AND a.state IN ` + openActs + `) THEN 1 ELSE 0 END,
			(SELECT COUNT(*) FROM compliance_policies), e.report, NULL
		FROM enroll_enrollments e LEFT JOIN directory_users u ON u.id = e.user_id AND u.removed_at = 0 WHERE `
	planCommands = ` UNION ALL SELECT 2, seq, id, '', request_type, subject, revision, state, error, chain, action_id,
			NULL, NULL, NULL, sent_at, done_at, NULL, NULL, NULL, NULL, NULL
		FROM enroll_commands WHERE recent = TRUE AND enrollment_id = `
	planCertificate = ` UNION ALL SELECT 3, 0, sha256, rule, '', '', '', '', '', '', '', NULL, NULL, NULL, not_before, not_after,
			revoked_at, NULL, NULL, NULL, NULL
		FROM certs_certificates WHERE sha256 = $1`

	planQuery  = planEnrollment + `e.id = $1` + planUser + `e.id = $1` + planCommands + `$1`
	pinnedPlan = planEnrollment + pinnedTo + planUser + pinnedTo + planCommands + `(SELECT e.id FROM enroll_enrollments e WHERE ` + pinnedTo + `)` + planCertificate
	// pinnedTo finds nothing for the empty hash, which is that of every Android phone;
	// it names the condition of the index, or that would not be used.
	pinnedTo    = `e.certificate_hash = $1 AND e.certificate_hash <> ''`
	planActions = `SELECT ` + actionColumns + ` FROM enroll_actions
		WHERE enrollment_id = $1 AND state IN ` + openActs + ` AND state <> 'unapproved' ORDER BY id`
)

// LoadPlan reads what Plan needs, at one moment.
func (s *Plans) LoadPlan(ctx context.Context, id mdm.EnrollmentID) (enroll.Have, error) {
	p, err := s.loadPlan(ctx, planQuery, string(id))
	return p.have, err
}

// PinnedPlan reads it for the phone of a certificate.
func (s *Plans) PinnedPlan(ctx context.Context, certificateHash string) (enroll.Have, certs.Certificate, error) {
	p, err := s.loadPlan(ctx, pinnedPlan, certificateHash)
	return p.have, p.certificate, err
}

func (s *Plans) loadPlan(ctx context.Context, query, key string) (plan, error) {
	p, err := readPlan(ctx, s.db.reader, query, key)
	if err != nil {
		return plan{}, fmt.Errorf("load plan: %w", err)
	}
	var known atGoogle
	if p.have.Enrollment.Platform == mdm.Android {
		if known, err = s.db.atGoogle(ctx, p.have.Enrollment.ID); err != nil {
			return plan{}, err
		}
	}
	known.tell(&p.have)
	if !p.acts {
		return p, nil
	}
	err = s.db.read(ctx, "load plan", func(t *tx) error {
		if p, err = readPlan(ctx, t, query, key); err != nil {
			return err
		}
		rows, err := t.QueryContext(ctx, planActions, p.have.Enrollment.ID)
		p.have.Actions, err = collect(rows, err, s.db.scanAction)
		return err
	})
	if err != nil {
		return plan{}, err
	}
	known.tell(&p.have)
	return p, nil
}

// plan is what the rows of one plan come to.
type plan struct {
	have        enroll.Have
	certificate certs.Certificate // of the phone, where it was asked for
	acts        bool              // there are some, which are not read yet
	numbers     []int64           // of the commands
}

// querier is a transaction, or a pool of connections.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// usualCommands is how many a plan rarely has more of.
const usualCommands = 24

// readPlan reads all but the acts.
func readPlan(ctx context.Context, q querier, query, key string) (plan, error) {
	p := plan{
		have:    enroll.Have{Commands: make([]mdm.Command, 0, usualCommands), Actions: []mdm.Action{}},
		numbers: make([]int64, 0, usualCommands),
	}
	rows, err := q.QueryContext(ctx, query, key)
	if err != nil {
		return p, err
	}
	defer func() { _ = rows.Close() }()
	var row planRow
	command := row.fields()
	for rows.Next() {
		row = planRow{}
		if err := rows.Scan(command...); err != nil {
			return p, err
		}
		switch row.part {
		case 0:
			err = rows.Scan(append([]any{skip{}, skip{}}, enrollmentFields(&p.have.Enrollment)...)...)
		case 1:
			err = rows.Scan(p.userFields()...)
		case 2:
			err = p.add(&row)
		case 3:
			err = rows.Scan(p.certificateFields()...)
		}
		if err != nil {
			return p, err
		}
	}
	if err := rows.Err(); err != nil {
		return p, err
	}
	if p.have.Enrollment.ID == "" {
		return p, enroll.ErrNotFound
	}
	for i := range p.have.Commands {
		p.have.Commands[i].EnrollmentID = p.have.Enrollment.ID
	}
	return p, nil
}

func (p *plan) userFields() []any {
	u, at := &p.have.User, &p.have.Catalog
	return []any{skip{}, skip{}, textOf(&u.ID), &u.UPN, &u.Email, &u.Username, &u.DomainName, &u.DisplayName, &u.FirstName, &u.MiddleName,
		&u.LastName, numberOf(&at.Templates), document{&u.Groups}, &u.SharedMailbox, stamp{&u.CreatedAt}, stamp{&u.UpdatedAt},
		numberOf(&at.Policies), &p.acts, numberOf(&p.have.Demands), document{&p.have.Report}, skip{}}
}

func (p *plan) certificateFields() []any {
	c := &p.certificate
	return []any{skip{}, skip{}, &c.SHA256, &c.Rule, skip{}, skip{}, skip{}, skip{}, skip{}, skip{}, skip{}, skip{}, skip{}, skip{},
		stamp{&c.NotBefore}, stamp{&c.NotAfter}, stamp{&c.RevokedAt}, skip{}, skip{}, skip{}, skip{}}
}

// add puts a command in its place, the newest first: sorting here is cheaper than
// having wide rows sorted.
func (p *plan) add(r *planRow) error {
	if r.chain != "null" {
		if err := (document{&r.c.Chain}).Scan(r.chain); err != nil {
			return err
		}
	}
	i, _ := slices.BinarySearchFunc(p.numbers, r.seq, func(a, b int64) int { return cmp.Compare(b, a) })
	p.numbers, p.have.Commands = slices.Insert(p.numbers, i, r.seq), slices.Insert(p.have.Commands, i, r.c)
	return nil
}

// planRow is a command as a plan returns it. A row of any other kind can be read
// as one, too, which tells what it is.
type planRow struct {
	part, seq int64
	c         mdm.Command
	chain     string
}

func (r *planRow) fields() []any {
	c := &r.c
	return []any{numberOf(&r.part), numberOf(&r.seq), textOf(&c.ID), skip{}, &c.RequestType, &c.Subject, &c.Revision, textOf(&c.State), &c.Error,
		&r.chain, textOf(&c.ActionID), skip{}, skip{}, skip{}, stamp{&c.SentAt}, stamp{&c.DoneAt}, skip{}, skip{}, skip{}, skip{}, skip{}}
}

// skip scans a column that a kind of row does not have.
type skip struct{}

func (skip) Scan(any) error { return nil }

const commandColumns = `id, enrollment_id, request_type, subject, revision, state, error, chain, action_id, sent_at, done_at`

func scanCommand(row scanner) (mdm.Command, error) {
	var c mdm.Command
	err := row.Scan(commandFields(&c)...)
	return c, err
}

func commandFields(c *mdm.Command) []any {
	return []any{&c.ID, &c.EnrollmentID, &c.RequestType, &c.Subject, &c.Revision, &c.State, &c.Error,
		document{&c.Chain}, &c.ActionID, stamp{&c.SentAt}, stamp{&c.DoneAt}}
}

// listCommands reads recent and older ones through the index of each: one over
// all of them would tempt a planner away from that of planCommands.
const listCommands = `SELECT ` + commandColumns + ` FROM (
		SELECT seq, ` + commandColumns + ` FROM enroll_commands WHERE recent = TRUE AND seq < $2
			AND enrollment_id IN (SELECT id FROM enroll_enrollments WHERE device_id = $1)
		UNION ALL
		SELECT seq, ` + commandColumns + ` FROM enroll_commands WHERE recent = FALSE AND seq < $2
			AND enrollment_id IN (SELECT id FROM enroll_enrollments WHERE device_id = $1)
	) both_kinds ORDER BY seq DESC LIMIT $3`

// ListCommands returns those of every enrolment of a device, newest first.
func (s *Plans) ListCommands(ctx context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Command, error) {
	after := int64(math.MaxInt64)
	if page.After != "" {
		err := s.db.reader.QueryRowContext(ctx, `SELECT seq FROM enroll_commands WHERE id = $1`, page.After).Scan(&after)
		if errors.Is(err, sql.ErrNoRows) {
			return []mdm.Command{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list commands of device %s: %w", device, err)
		}
	}
	rows, err := s.db.reader.QueryContext(ctx, listCommands, device, after, pageLimit(page.Limit))
	list, err := collect(rows, err, scanCommand)
	if err != nil {
		return nil, fmt.Errorf("list commands of device %s: %w", device, err)
	}
	return list, nil
}

// forgetCommands keeps recentCommands of a request type and subject. The number
// stands in the text: SQLite plans a statement anew each time that a LIMIT is bound
// (https://www.sqlite.org/c3ref/prepare.html), which takes longer than to run it.
const forgetCommands = `UPDATE enroll_commands SET recent = FALSE
	WHERE enrollment_id = $1 AND request_type = $2 AND subject = $3 AND recent = TRUE AND seq <=
		(SELECT seq FROM enroll_commands WHERE enrollment_id = $1 AND request_type = $2 AND subject = $3
			AND recent = TRUE ORDER BY seq DESC LIMIT 1 OFFSET ` + recentCommands + `)`

// SaveCommand writes a command's row in state Sent, and with it its act and the
// contact that it answers.
func (s *Plans) SaveCommand(ctx context.Context, c mdm.Command, pending *mdm.Contact) error {
	err := s.db.write(ctx, "save command", func(t *tx) error {
		if pending != nil {
			if err := t.saveWithCommand(ctx, c.EnrollmentID, *pending); err != nil {
				return err
			}
		}
		if c.ActionID != "" {
			again, err := t.sendAct(ctx, c)
			if err != nil || again {
				return err
			}
		}
		t.later(`INSERT INTO enroll_commands (id, enrollment_id, request_type, subject, revision,
				state, error, action_id, sent_at, done_at, recent)
			VALUES ($1, $2, $3, $4, $5, 'sent', '', $6, $7, 0, TRUE)`,
			c.ID, c.EnrollmentID, c.RequestType, c.Subject, c.Revision, c.ActionID, micros(c.SentAt))
		t.later(forgetCommands, c.EnrollmentID, c.RequestType, c.Subject)
		return nil
	})
	switch {
	case isUnique(err):
		return fmt.Errorf("save command: %w", enroll.ErrConflict)
	case isForeignKey(err):
		return fmt.Errorf("save command: %w", enroll.ErrNotFound)
	}
	return err
}

// Advance turns state from into to, if it still is from. It does not end
// enrolments: End does, with what belongs to it.
func (s *Plans) Advance(ctx context.Context, id mdm.EnrollmentID, from, to mdm.EnrollmentState) error {
	return s.db.write(ctx, "advance enrolment", func(t *tx) error {
		if !to.Active() {
			return errors.New("only an active state can be advanced to: enrolments are ended by End and held by Admit")
		}
		if from == mdm.Held {
			return errors.New("a held enrolment is admitted by AdmitHeld")
		}
		return t.moveEnrollment(ctx, id, from, to, t.db.now())
	})
}
