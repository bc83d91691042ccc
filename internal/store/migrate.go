package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"sallyport/internal/refusal"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// migrate applies what is missing, in order. A schema newer than this program
// is refused: an old program would write rows that the new one cannot read.
func migrate(ctx context.Context, db *sql.DB, e engine) error {
	dir, dialect := e.migrations()
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.Dialect(dialect), db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > newest {
		return refusal.New(ErrNewerSchema, "",
			fmt.Sprintf("its schema has version %d, this program knows up to %d", have, newest),
			"start the newer Sallyport again, or restore a backup that this one made")
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
