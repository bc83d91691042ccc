package store

import (
	"context"
	"fmt"

	"sallyport/enroll"
	"sallyport/profiles/managedconfig"
)

// AndroidSchemas returns what apps say of their configurations.
func (s *Android) AndroidSchemas(ctx context.Context) (map[managedconfig.Package]enroll.AndroidSchema, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT package, keys, fetched_at FROM enroll_android_schemas ORDER BY package`)
	list, err := collect(rows, err, func(row scanner) (enroll.AndroidSchema, error) {
		a := enroll.AndroidSchema{Schema: managedconfig.Schema{Live: true}}
		err := row.Scan(textOf(&a.Schema.App), document{&a.Schema.Keys}, stamp{&a.FetchedAt})
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("list schemas of android apps: %w", err)
	}
	schemas := make(map[managedconfig.Package]enroll.AndroidSchema, len(list))
	for _, a := range list {
		schemas[a.Schema.App] = a
	}
	return schemas, nil
}

// SaveAndroidSchema takes the place of the app's one before.
func (s *Android) SaveAndroidSchema(ctx context.Context, a enroll.AndroidSchema) error {
	return s.db.write(ctx, "save schema of android app", func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO enroll_android_schemas (package, keys, fetched_at) VALUES ($1, $2, $3)
			ON CONFLICT (package) DO UPDATE SET keys = excluded.keys, fetched_at = excluded.fetched_at`,
			a.Schema.App, document{a.Schema.Keys}, micros(a.FetchedAt))
		return err
	})
}
