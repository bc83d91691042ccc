package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/store"
)

// TestSchemasAgree: the schema is written twice, and must be one. Compared are
// tables, columns with their kind and whether they may be empty, and indexes
// with their columns and conditions.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(sqliteSchema(t), postgresSchema(t)); diff != "" {
		t.Errorf("the engines' schemas differ (-sqlite +postgres):\n%s", diff)
	}
}

// kinds are what the types of both engines mean to us.
var kinds = map[string]string{
	"TEXT": "text", "BLOB": "bytes", "BIGINT": "integer", "INTEGER": "integer", "BOOLEAN": "boolean",
	"text": "text", "bytea": "bytes", "bigint": "integer", "integer": "integer", "boolean": "boolean",
}

func sqliteSchema(t *testing.T) []string {
	o := onSQLite(t, store.Options{})
	mustOpen(t, o.Path, 1)
	db := raw(t, o.Path)
	var all []string
	for _, line := range lines(t, db, `SELECT m.name, c.name, c.type, c."notnull" OR c.pk, c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version'`) {
		f := strings.Split(line, "|")
		all = append(all, fmt.Sprintf("column %s.%s %s required=%s", f[0], f[1], kinds[f[2]], f[3]))
		if f[4] != "0" {
			all = append(all, fmt.Sprintf("key %s.%s %s", f[0], f[1], f[4]))
		}
	}
	for _, line := range lines(t, db, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`) {
		f := strings.SplitN(line, "|", 3)
		all = append(all, "index "+f[0]+" "+condensed(strings.TrimSuffix(f[1], "|")))
	}
	slices.Sort(all)
	return all
}

func postgresSchema(t *testing.T) []string {
	db := rawPostgres(t, onPostgres(t, store.Options{}).Database)
	var all []string
	for _, line := range lines(t, db, `SELECT table_name, column_name, data_type, is_nullable = 'NO' FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`) {
		f := strings.Split(line, "|")
		all = append(all, fmt.Sprintf("column %s.%s %s required=%s", f[0], f[1], kinds[f[2]], map[string]string{"true": "1", "false": "0"}[f[3]]))
	}
	for _, line := range lines(t, db, `SELECT table_name, column_name, ordinal_position FROM information_schema.key_column_usage
		JOIN information_schema.table_constraints USING (constraint_name, table_name) WHERE constraint_type = 'PRIMARY KEY' AND key_column_usage.table_schema = 'public' AND table_name <> 'goose_db_version'`) {
		f := strings.Split(line, "|")
		all = append(all, fmt.Sprintf("key %s.%s %s", f[0], f[1], f[2]))
	}
	for _, line := range lines(t, db, `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'`) {
		f := strings.SplitN(line, "|", 3)
		all = append(all, "index "+f[0]+" "+condensed(f[1]))
	}
	// Text must be ordered as SQLite orders it.
	for _, line := range lines(t, db, `SELECT table_name, column_name, collation_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`) {
		t.Errorf("not COLLATE \"C\": %s", line)
	}
	slices.Sort(all)
	return all
}

// condensed takes from an index's definition what the engines write differently.
func condensed(definition string) string {
	bare := strings.NewReplacer(" USING btree", "", "public.", "", "::text", "", "= ANY (ARRAY[", "IN ", "<> ALL (ARRAY[", "NOT IN ",
		"(", " ", ")", " ", "]", "", " = true", "", " = TRUE", "", "false", "FALSE").Replace(definition)
	return strings.Join(strings.Fields(bare), " ")
}
