package store_test

import (
	"database/sql"
	"testing"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// before0006 is an installation of before there was conditional access.
var before0006 = []string{
	`INSERT INTO directory_users (id, upn, upn_key, email, email_key, username, username_key, domain_name, down_level_key,
		display_name, first_name, middle_name, last_name, group_names, created_at, updated_at, removed_at)
		VALUES ('u', 'Ann@x.test', 'ann@x.test', 'ann@x.test', 'ann@x.test', 'ann', 'ann', '', '', '', '', '', '', '["staff"]', 1, 1, 0)`,
	`INSERT INTO enroll_devices (id, platform, udid, serial, product, model, name, created_at) VALUES ('d', 'apple', 'U1', '', '', '', '', 1)`,
	`INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
		access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id) VALUES
		('e', 'd', 'u', '', 'apple', 'corporate', 'configured', 'U1', 'i', 0, 't', TRUE, 1, 1, 1, 0, 0, 0, '{"device":{"product":"iPhone15,4"}}', 0, 'appl1')`,
	`INSERT INTO compliance_verdicts (enrollment_id, state, since, at, valid_until, grace_until, policy, findings, changed_at)
		VALUES ('e', 'compliant', 1, 1, 2, 0, 'p@1', '[]', 1)`,
	`INSERT INTO work_outbox (kind, enrollment_id, at) VALUES ('verdict', 'e', 1)`,
}

// beside0006 is what a program of before writes that has not noticed yet.
const beside0006 = `INSERT INTO work_outbox (kind, enrollment_id, at) VALUES ('reported', 'e', 2)`

// TestAccessMigration: what is on record of before stays, decides as it did, and
// the policy that says so is there once, however often the program starts.
func TestAccessMigration(t *testing.T) {
	t.Parallel()
	for _, e := range olderEngines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o, direct := e.open(t)
			o.Sealer = sealer(t, 1)
			migrateTo(t, direct, e.dialect, e.dir, 5)
			if e.name == "sqlite" {
				execAll(t, direct, `PRAGMA application_id = 1397771353`)
			}
			execAll(t, direct, before0006...)
			for range 2 {
				db, err := store.Open(t.Context(), o)
				must(t, err)
				upgraded(t, db)
				closed(t, db)
			}
			execAll(t, direct, beside0006)
			db, err := store.Open(t.Context(), o)
			must(t, err)
			t.Cleanup(func() { closed(t, db) })
			events, err := db.Outbox().Pending(t.Context(), "test", 10)
			must(t, err)
			if len(events) != 2 || events[0].Kind != mdm.EventVerdict || events[1].EnrollmentID != "e" || events[0].UserID != "" || events[1].UserID != "" {
				t.Errorf("events %+v", events)
			}
		})
	}
}

func execAll(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := db.Exec(s)
		must(t, err)
	}
}

// upgraded looks at what before0006 has become.
func upgraded(t *testing.T, db *store.DB) {
	t.Helper()
	world, err := db.Access().World(t.Context())
	must(t, err)
	if len(world.Policies) != 1 || world.Policies[0].Name != "standard" || world.Policies[0].Number != 1 || world.Default != access.Quarantine {
		t.Errorf("the world is %+v", world)
	}
	list, err := db.Access().EntriesOf(t.Context(), []directory.UserID{"u"})
	must(t, err)
	if len(list) != 1 || len(list[0].Phones) != 1 {
		t.Fatalf("people %+v", list)
	}
	if p := list[0].Phones[0]; p.EASKey != "appl1" || p.Product != "iPhone15,4" || p.Verdict.State != "compliant" || list[0].Person.MailOff != nil {
		t.Errorf("person %+v", list[0])
	}
}
