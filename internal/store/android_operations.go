package store

import (
	"context"
	"fmt"

	"sallyport/enroll"
	"sallyport/mdm"
)

const operationColumns = `o.name, o.enrollment_id, o.command_id, o.created_at`

func scanOperation(row scanner) (enroll.AndroidOperation, error) {
	var o enroll.AndroidOperation
	err := row.Scan(&o.Name, textOf(&o.EnrollmentID), textOf(&o.CommandID), stamp{&o.CreatedAt})
	return o, err
}

// SaveOperation notes which command an operation carries out.
func (s *Android) SaveOperation(ctx context.Context, o enroll.AndroidOperation) error {
	return s.db.write(ctx, "save android operation", func(t *tx) error {
		n, err := t.change(ctx, `INSERT INTO enroll_android_operations (name, enrollment_id, command_id, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO NOTHING`, o.Name, o.EnrollmentID, o.CommandID, micros(o.CreatedAt))
		if err == nil && n == 0 {
			return errUnchanged
		}
		return err
	})
}

// OperationByName finds an operation.
func (s *Android) OperationByName(ctx context.Context, name string) (enroll.AndroidOperation, error) {
	return s.operation(ctx, `o.name = $1`, name)
}

// OperationOf finds the newest operation of a command.
func (s *Android) OperationOf(ctx context.Context, id mdm.CommandID) (enroll.AndroidOperation, error) {
	return s.operation(ctx, `o.command_id = $1 ORDER BY o.created_at DESC, o.name LIMIT 1`, id)
}

func (s *Android) operation(ctx context.Context, condition string, arg any) (enroll.AndroidOperation, error) {
	o, err := scanOperation(s.db.reader.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM enroll_android_operations o WHERE `+condition, arg))
	if err != nil {
		return enroll.AndroidOperation{}, fmt.Errorf("load android operation: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return o, nil
}

// OpenOperations returns those whose commands nobody has answered.
func (s *Android) OpenOperations(ctx context.Context, after string, limit int) ([]enroll.AndroidOperation, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+operationColumns+` FROM enroll_commands c
		JOIN enroll_android_operations o ON o.command_id = c.id
		WHERE c.state = 'sent' AND o.name > $1 ORDER BY o.name LIMIT $2`, after, pageLimit(limit))
	list, err := collect(rows, err, scanOperation)
	if err != nil {
		return nil, fmt.Errorf("list open android operations: %w", err)
	}
	return list, nil
}
