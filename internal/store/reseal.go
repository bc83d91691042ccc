package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// sealedColumn is a column whose values are sealed. Settings are apart: they are
// text, and only some are sealed (sealedSettings).
type sealedColumn struct {
	table, column string
	key           []string // the primary key
	place         string   // which row a value is sealed for, in SQL
}

// sealedColumns is all of them. A column that is missing here would be lost with
// the old key: a test compares it with the schema and with the code that seals.
func sealedColumns() []sealedColumn {
	byID := []string{"id"}
	const secretPlace = "name || '/' || user_id || '/' || revision" // secretRow
	return []sealedColumn{
		{"certs_keys", "private_key", byID, "id"},
		{smimeTable, "private_key", byID, "id || '/' || user_id"}, // smimeRow
		{actionsTable, "parameters", byID, "id"},
		{actionsTable, "result", byID, "id"},
		{enterprisesTable, "account", byID, "id"},
		{enterprisesTable, "secret", byID, "id"},
		{"enroll_enrollments", "push_token", byID, "id"},
		{"enroll_enrollments", "push_magic", byID, "id"},
		{"enroll_enrollments", "unlock_token", byID, "id"},
		{webhooksTable, "secret", byID, "id"},
		{secretsTable, "value", []string{"name", "user_id"}, secretPlace},
		{secretsTable, "data", []string{"name", "user_id"}, secretPlace},
	}
}

// sealedSettings is the condition under which a setting is sealed.
const sealedSettings = `(name = '` + keyCheck + `' OR name LIKE '` + macKeys + `%')`

func (c sealedColumn) name() string { return c.table + "." + c.column }

// waiting selects what is sealed, and not under the key whose header is $1.
func (c sealedColumn) waiting() string {
	return ` FROM ` + c.table + ` WHERE length(` + c.column + `) > 0 AND substr(` + c.column + `, 1, 9) <> $1`
}

// resealBatch bounds a transaction, and what a kill makes to be done again.
const resealBatch = 500

// Resealing is how far the sealing under another key has come.
type Resealing struct {
	From, To string           // KeyIDs
	Columns  []ResealedColumn // in the order in which they are done
}

// ResealedColumn counts the values of one column.
type ResealedColumn struct {
	Name string `json:"name"`
	Done int    `json:"done"` // sealed under the new key: by this run, or found so
	Left int    `json:"left"` // under another
}

// Total adds the columns up.
func (r Resealing) Total() (done, left int) {
	for _, c := range r.Columns {
		done, left = done+c.Done, left+c.Left
	}
	return done, left
}

// Sealed opens every sealed value and changes nothing. Done counts what is sealed
// under the sealer's first key, Left what is not.
func (db *DB) Sealed(ctx context.Context) (Resealing, error) {
	r, err := db.resealing(ctx)
	if err != nil {
		return r, err
	}
	for i, c := range sealedColumns() {
		err := db.read(ctx, "open "+c.name(), func(t *tx) error {
			r.Columns[i].Done, r.Columns[i].Left = 0, 0
			// No header is empty: this is every value.
			return t.eachSealed(ctx, c, nil, nil, -1, func(row sealedRow) error {
				if bytes.HasPrefix(row.sealed, db.options.Sealer.Header()) {
					r.Columns[i].Done++
				} else {
					r.Columns[i].Left++
				}
				_, err := db.open(c, row)
				return err
			})
		})
		if err != nil {
			return r, err
		}
	}
	settings, err := db.settingsToReseal(ctx)
	if err == nil {
		_, err = db.resealSettings(settings)
	}
	return r, err
}

func (db *DB) resealing(ctx context.Context) (Resealing, error) {
	from, err := db.checkedKey(ctx)
	r := Resealing{From: from, To: db.options.Sealer.KeyID(), Columns: make([]ResealedColumn, len(sealedColumns()))}
	for i, c := range sealedColumns() {
		r.Columns[i].Name = c.name()
	}
	return r, err
}

// Reseal seals every value anew that is not sealed under the sealer's first key,
// in many small transactions: after a kill it goes on where it was. Both keys must
// open until it has returned; then the first is the only one that is needed, and
// nothing on the disk is left under another. It is refused while a server is on the
// database: ErrInUse. A value that does not open ends it, and is named.
//
// progress is told after each transaction; it may be nil.
func (db *DB) Reseal(ctx context.Context, progress func(Resealing)) (Resealing, error) {
	if progress == nil {
		progress = func(Resealing) {}
	}
	var r Resealing
	err := db.Alone(ctx, "prepare", func(ctx context.Context) error { // a server that starts waits here
		return db.withServersStopped(ctx, func(ctx context.Context) (err error) {
			r, err = db.reseal(ctx, progress)
			return err
		})
	})
	return r, err
}

// stoppedWithin is how long PostgreSQL may take to notice that a server has gone.
const stoppedWithin = 3 * time.Second

func (db *DB) withServersStopped(ctx context.Context, fn func(context.Context) error) error {
	for deadline := time.Now().Add(stoppedWithin); ; {
		ran, err := db.engine.stopped(ctx, fn)
		if ran || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return refusal.New(ErrInUse, "database", "a server is at work on "+db.engine.name(), "stop every server on it first")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(aloneEvery):
		}
	}
}

func (db *DB) reseal(ctx context.Context, progress func(Resealing)) (Resealing, error) {
	r, err := db.resealing(ctx)
	if err != nil {
		return r, err
	}
	if err := db.countWaiting(ctx, r); err != nil {
		return r, err
	}
	progress(r)
	for i, c := range sealedColumns() {
		var after []string
		for more := true; more; {
			n, last, err := db.resealBatch(ctx, c, after)
			if err != nil {
				return r, err
			}
			after, more = last, n == resealBatch
			r.Columns[i].Done += n
			r.Columns[i].Left = max(0, r.Columns[i].Left-n)
			if n > 0 {
				progress(r)
			}
		}
	}
	if err := db.resealLast(ctx, r); err != nil {
		return r, err
	}
	var tables []string
	for _, c := range sealedColumns() {
		if !slices.Contains(tables, c.table) {
			tables = append(tables, c.table)
		}
	}
	return r, db.engine.rewrite(ctx, append(tables, settingsTable))
}

func (db *DB) countWaiting(ctx context.Context, r Resealing) error {
	for i, c := range sealedColumns() {
		err := db.reader.QueryRowContext(ctx, `SELECT COUNT(*)`+c.waiting(), db.options.Sealer.Header()).Scan(&r.Columns[i].Left)
		if err != nil {
			return fmt.Errorf("count %s: %w", c.name(), err)
		}
	}
	return nil
}

// sealedRow is one value and where it is.
type sealedRow struct {
	key    []string
	place  string
	sealed []byte
}

func (db *DB) open(c sealedColumn, row sealedRow) ([]byte, error) {
	plain, err := db.options.Sealer.Open(c.table, row.place, c.column, row.sealed)
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", c.name(), strings.Join(row.key, " "), err)
	}
	return plain, nil
}

// eachSealed calls fn for up to limit values (-1: all) that do not begin with
// header, in the order of their keys, behind the key after.
func (t *tx) eachSealed(ctx context.Context, c sealedColumn, header []byte, after []string, limit int, fn func(sealedRow) error) error {
	if header == nil {
		header = []byte{}
	}
	keys := strings.Join(c.key, ", ")
	query, args := `SELECT `+keys+`, `+c.place+`, `+c.column+c.waiting(), []any{header}
	if after != nil {
		marks := make([]string, len(after))
		for i, part := range after {
			args = append(args, part)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		query += ` AND (` + keys + `) > (` + strings.Join(marks, ", ") + `)`
	}
	query += ` ORDER BY ` + keys
	if limit >= 0 {
		args = append(args, limit)
		query += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	rows, err := t.QueryContext(ctx, query, args...)
	_, err = collect(rows, err, func(s scanner) (struct{}, error) {
		row := sealedRow{key: make([]string, len(c.key))}
		var to []any
		for i := range row.key {
			to = append(to, &row.key[i])
		}
		if err := s.Scan(append(to, &row.place, &row.sealed)...); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, fn(row)
	})
	return err
}

// resealBatch says how many values it has sealed, and the key of the last.
func (db *DB) resealBatch(ctx context.Context, c sealedColumn, after []string) (n int, last []string, err error) {
	set := `UPDATE ` + c.table + ` SET ` + c.column + ` = $1 WHERE `
	for i, key := range c.key {
		if i > 0 {
			set += ` AND `
		}
		set += fmt.Sprintf(`%s = $%d`, key, i+2)
	}
	err = db.write(ctx, "reseal "+c.name(), func(t *tx) error {
		var batch []sealedRow
		err := t.eachSealed(ctx, c, db.options.Sealer.Header(), after, resealBatch, func(row sealedRow) error {
			batch = append(batch, row)
			return nil
		})
		if err != nil {
			return err
		}
		for _, row := range batch {
			plain, err := db.open(c, row)
			if err != nil {
				return err
			}
			args := make([]any, 1, 1+len(row.key))
			if args[0], err = db.options.Sealer.Seal(c.table, row.place, c.column, plain); err != nil {
				return err
			}
			for _, part := range row.key {
				args = append(args, part)
			}
			if _, err := t.ExecContext(ctx, set, args...); err != nil {
				return err
			}
		}
		if n = len(batch); n == 0 {
			return errUnchanged
		}
		last = batch[n-1].key
		return nil
	})
	return n, last, err
}

// resealLast looks once more at every column and then, in the same transaction,
// makes the new key the database's. Keys for HMACs come before the key check says
// so, and what a rotation has put on record is taken back.
func (db *DB) resealLast(ctx context.Context, r Resealing) error {
	return db.write(ctx, "reseal settings", func(t *tx) error {
		for _, c := range sealedColumns() {
			var left int
			if err := t.QueryRowContext(ctx, `SELECT COUNT(*)`+c.waiting(), db.options.Sealer.Header()).Scan(&left); err != nil {
				return err
			}
			if left > 0 {
				return refusal.New(ErrInUse, "database", fmt.Sprintf("%d values of %s were sealed under the old key meanwhile: a server is at work", left, c.name()),
					"stop every server on it, then run this again")
			}
		}
		settings, err := t.settingsToReseal(ctx)
		if err != nil {
			return err
		}
		sealed, err := db.resealSettings(settings)
		if err != nil {
			return err
		}
		if len(sealed) == 0 {
			return errUnchanged
		}
		for name, value := range sealed {
			if err := t.setSetting(ctx, name, value); err != nil {
				return err
			}
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM app_settings WHERE name = $1`, keyNext); err != nil {
			return err
		}
		return t.audit(ctx, audit.New(ctx, db.now(), "kek.rotate", r.To, audit.Done, "from", r.From, "to", r.To))
	})
}

func (db *DB) settingsToReseal(ctx context.Context) (all map[string]string, err error) {
	err = db.read(ctx, "read sealed settings", func(t *tx) error {
		all, err = t.settingsToReseal(ctx)
		return err
	})
	return all, err
}

func (t *tx) settingsToReseal(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	rows, err := t.QueryContext(ctx, `SELECT name, value FROM app_settings WHERE `+sealedSettings)
	_, err = collect(rows, err, func(s scanner) (struct{}, error) {
		var name, value string
		err := s.Scan(&name, &value)
		all[name] = value
		return struct{}{}, err
	})
	return all, err
}

// resealSettings returns those anew that are not sealed under the first key.
func (db *DB) resealSettings(all map[string]string) (map[string]string, error) {
	anew := map[string]string{}
	for name, stored := range all {
		plain, err := db.openSetting(name, stored)
		if err != nil {
			return nil, fmt.Errorf("open setting %s: %w", name, err)
		}
		raw, err := base64.StdEncoding.DecodeString(stored)
		if err != nil {
			return nil, err
		}
		if secret.SealedUnder(raw) == db.options.Sealer.KeyID() {
			continue
		}
		if anew[name], err = db.sealSetting(name, plain); err != nil {
			return nil, err
		}
	}
	return anew, nil
}
