package store

import (
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

// TestQueryPlans: what is asked at every poll, or all the time, reads rows that
// an index names, in the order of that index, and never a whole table.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	sealer, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "sallyport.db"), Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	device := deviceQuery + ` WHERE d.id = $1`
	tests := []struct {
		name, query string
		args        []any
		want        string // of the plan
		sorts       bool   // a handful of rows
	}{
		{"plan: enrolment", planQuery, []any{""}, "sqlite_autoindex_enroll_enrollments_1", true},
		{"plan: enrolment of a certificate", pinnedPlan, []any{""}, "certificate_hash", true},
		{"plan: certificate", pinnedPlan, []any{""}, "sqlite_autoindex_certs_certificates_1", true},
		{"plan: commands of a certificate", pinnedPlan, []any{""}, "enroll_commands_recent", true},
		{"pinned: enrolment", pinnedQuery, []any{""}, "certificate_hash", false},
		{"pinned: certificate", pinnedQuery, []any{""}, "sqlite_autoindex_certs_certificates_1", false},
		{"plan: user", planQuery, []any{""}, "sqlite_autoindex_directory_users_1", true},
		{"plan: commands", planQuery, []any{""}, "enroll_commands_recent", true},
		{"plan: acts", planActions, []any{""}, "enroll_actions_open", false},
		{"due wake-ups", dueWakes, []any{1, 1}, "enroll_wakes_due", false},
		{"silent phones", quietWakes, []any{1, 1}, "enroll_wakes_quiet", false},
		{"acts to expire", dueActs, []any{1, 1}, "enroll_actions_expiry", false},
		{"facts", factQuery, []any{"", 1}, "sqlite_autoindex_enroll_enrollments_1", false},
		{"facts: user", factQuery, []any{"", 1}, "sqlite_autoindex_directory_users_1", false},
		{"facts: verdict", factQuery, []any{"", 1}, "sqlite_autoindex_compliance_verdicts_1", false},
		{"facts: spell", factQuery, []any{"", 1}, "sqlite_autoindex_compliance_spells_1", false},
		{"installations", installQuery, []any{"", ""}, "enroll_commands_recent", true},
		{"due spells", dueSpells, []any{1, 1}, "compliance_spells_next", false},
		{"commands of a device", listCommands, []any{"", 1, 1}, "enroll_commands_older", true},
		{"phones of a mailbox", mailboxPhones, []any{""}, "enroll_enrollments_user", true},
		{"phones of a mailbox: commands", mailboxPhones, []any{""}, "enroll_commands_recent", true},
		{"phones that wait for a place", waitingPhones, []any{""}, "enroll_enrollments_user", false},
		{"one device", device, []any{""}, "enroll_enrollments_device", true},
	}
	for _, tt := range tests {
		rows, err := db.reader.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+tt.query, tt.args...)
		steps, err := collect(rows, err, func(row scanner) (string, error) {
			var id, parent, unused int
			var detail string
			err := row.Scan(&id, &parent, &unused, &detail)
			return detail, err
		})
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.NewReplacer(
			"SCAN both_kinds", "read both_kinds", // a subquery of its own
			"SCAN templates_revisions USING COVERING INDEX", "count templates_revisions",
			"SCAN templates_security_policies USING COVERING INDEX", "count templates_security_policies",
			"SCAN compliance_policies USING COVERING INDEX", "count compliance_policies",
		).Replace(strings.Join(steps, "\n"))
		if strings.Contains(plan, "SCAN") || !strings.Contains(plan, tt.want) || !tt.sorts && strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s:\n%s", tt.name, plan)
		}
	}
}
