package store_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/store"
)

// fleet fills a database with a number of identities: half of them of enrolments,
// a tenth revoked. x is the table of numbers from 1 to that, SHA256 what looks like
// a hash: in no order that has to do with theirs.
const fleet = `
	INSERT INTO directory_users (id, upn, upn_key, email, email_key, username, username_key, domain_name, down_level_key,
		display_name, first_name, middle_name, last_name, group_names, created_at, updated_at, removed_at)
		VALUES ('u', 'u', 'u', 'u', 'u', '', '', '', '', '', '', '', '', '[]', 1, 1, 0);
	INSERT INTO enroll_devices (id, platform, udid, serial, product, model, name, created_at)
		SELECT 'd' || n, 'apple', 'U' || n, '', '', '', '', 1 FROM NUMBERS WHERE n % 2 = 0;
	INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
		access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id)
		SELECT 'e' || n, 'd' || n, 'u', '', 'apple', 'corporate', CASE WHEN n % 20 = 0 THEN 'replaced' ELSE 'configured' END, 'U' || n, SHA256,
			0, 't', TRUE, 1, 1, 1, 0, 0, 0, '{}', 0, '' FROM NUMBERS WHERE n % 2 = 0;
	INSERT INTO certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at,
		profile, issuer, key_hash, reason)
		SELECT SHA256, '0123456789', 's' || n, CASE WHEN n % 2 = 0 THEN 'mdm-identity' ELSE 'mail-identity' END, 'u' || n / 10, '',
			'e' || (n / 2) * 2, 0, CAST(1000000 AS BIGINT) * n, n, CASE WHEN n % 10 = 1 THEN n ELSE 0 END, '', 'i', 'k' || n, 0 FROM NUMBERS;
	INSERT INTO certs_challenges (hash, rule, entitlement, user_id, invitation_id, enrollment_id, created_at, expires_at, void_at, claimed_at,
		transaction_id, key_hash, serial, not_before, not_after, certificate_sha256, profile)
		SELECT HASH, 'mail-identity', '{}', 'u', '', 'e' || n, n, n, 0, n, 't', NULL, NULL, 0, 0, SHA256, '' FROM NUMBERS WHERE n % 2 = 0`

const sha256 = `'c' || (1000000 + CAST(48271 AS BIGINT) * n % 100003)`

// engineWords are what the engines write differently in fleet, and how they show
// a plan. wholeTable finds in that what no query of a fleet may do, sort what an ordered one may not.
var engineWords = map[string]struct {
	numbers, hash, explain string
	wholeTable, sort       *regexp.Regexp
}{
	"sqlite": {`(WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < %d) SELECT n FROM x)`, `CAST('c' || n AS BLOB)`, `EXPLAIN QUERY PLAN `,
		regexp.MustCompile(`SCAN (\w+)( USING INDEX \w*autoindex\w*)?(\||$)|AUTOMATIC`), regexp.MustCompile(`TEMP B-TREE`)},
	"postgres": {`generate_series(1, %d) x(n)`, `convert_to('c' || n, 'UTF8')`, `EXPLAIN ANALYZE `, regexp.MustCompile(`Seq Scan|Rows Removed by Filter: \d{5,}`), regexp.MustCompile(`Sort Key`)},
}

// TestIdentityQueries: what is asked of a whole fleet reads what it returns and
// little more, however much is on record. A plan of an empty table proves nothing on
// PostgreSQL, and little on SQLite.
func TestIdentityQueries(t *testing.T) {
	t.Parallel()
	const size = 100_000
	now, middle := time.UnixMicro(size/2*1_000_000), fmt.Sprint("c", 1_000_000+48271*(size/2)%100_003)
	explain(t, fleet, size, store.IdentityQueries(now, now.Add(time.Hour), middle, fmt.Sprint("e", size/2), "u50"))
}

// filled makes a database with that content, and opens it past the store.
func filled(t testing.TB, engine string, place func(testing.TB, store.Options) store.Options, content string, size int) (store.Options, *sql.DB) {
	t.Helper()
	o := place(t, store.Options{Sealer: sealer(t, 1)})
	db, err := store.Open(t.Context(), o)
	must(t, err)
	closed(t, db)
	words, pool, path := engineWords[engine], raw, o.Path
	if o.Database != "" {
		pool, path = rawPostgres, o.Database
	}
	direct := pool(t, path)
	direct.SetMaxOpenConns(1)
	content = strings.NewReplacer("NUMBERS", fmt.Sprintf(words.numbers, size), "HASH", words.hash, "SHA256", sha256).Replace(content)
	if engine == "postgres" { // as its autovacuum does, and as on our connections; on SQLite nobody does
		content += "; VACUUM ANALYZE; SET enable_seqscan = off; SET jit = off"
	}
	for _, statement := range strings.Split(content, ";") {
		if _, err := direct.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return o, direct
}

// explain fills a database of each engine, and has it say how it would answer.
func explain(t *testing.T, content string, size int, queries []store.Query) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			_, direct := filled(t, e.name, e.place, content, size)
			words := engineWords[e.name]
			for _, q := range queries {
				rows, err := direct.Query(words.explain+q.Text, q.Args...)
				if err != nil {
					t.Fatalf("%s: %v", q.Name, err)
				}
				var plan []string
				columns, _ := rows.Columns()
				for rows.Next() {
					var step string
					to := make([]any, len(columns))
					for i := range to {
						to[i] = new(any)
					}
					to[len(to)-1] = &step
					must(t, rows.Scan(to...))
					plan = append(plan, step)
				}
				must(t, rows.Err())
				text := strings.Join(plan, "|")
				if words.wholeTable.MatchString(text) || q.Ordered && words.sort.MatchString(text) || !strings.Contains(text, q.Index) {
					t.Errorf("%s:\n%s", q.Name, strings.Join(plan, "\n"))
				}
			}
		})
	}
}
