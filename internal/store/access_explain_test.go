package store_test

import (
	"fmt"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/store"
)

// people fills a database with a number of them, each with a phone, a mail client,
// a certificate, a denial and a decision; one in a hundred with a word of an admin.
const people = `
	INSERT INTO directory_users (id, upn, upn_key, email, email_key, username, username_key, domain_name, down_level_key,
		display_name, first_name, middle_name, last_name, group_names, created_at, updated_at, removed_at)
		SELECT 'u' || (1000000 + n), 'u' || n, 'u' || n, 'u' || n, 'u' || n, '', '', '', '', '', '', '', '', '[]', 1, 1, CASE WHEN n % 50 = 0 THEN 1 ELSE 0 END FROM NUMBERS;
	INSERT INTO enroll_devices (id, platform, udid, serial, product, model, name, created_at)
		SELECT 'd' || n, 'apple', 'U' || n, '', '', '', '', 1 FROM NUMBERS;
	INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
		access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id)
		SELECT 'e' || n, 'd' || n, 'u' || (1000000 + n), '', 'apple', 'corporate', 'configured', 'U' || n, SHA256,
			0, 't', TRUE, 1, 1, 1, 0, 0, 0, '{}', 0, 'k' || n FROM NUMBERS;
	INSERT INTO compliance_verdicts (enrollment_id, state, since, at, valid_until, grace_until, policy, findings, changed_at)
		SELECT 'e' || n, 'compliant', 1, 1, n, 0, '', '[]', 1 FROM NUMBERS;
	INSERT INTO certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at,
		profile, issuer, key_hash, reason)
		SELECT SHA256, '0123456789', 's' || n, CASE WHEN n % 2 = 0 THEN 'mdm-identity' ELSE 'mail-identity' END, 'u' || (1000000 + n), '',
			'e' || n, 0, 4000000000000000, n, 0, '', 'i', 'k' || n, 0 FROM NUMBERS;
	INSERT INTO access_devices (id, user_id, device_key, spellings, type, type_key, model, model_key, os, user_agent, protocol, address, bound, proof,
		first_at, last_at, sync_at, effect, step, since_at)
		SELECT 'a' || 'u' || (1000000 + n), 'u' || (1000000 + n), 'k' || n, '[]', '', '', '', '', '', '', '', '', '', '', 1, 1, 1, CASE WHEN n % 20 = 0 THEN 'quarantine' ELSE 'allow' END, '', 0 FROM NUMBERS;
	INSERT INTO access_personal (user_id, device_key, kind, noted_by, noted_at, reason, expires_at)
		SELECT 'u' || (1000000 + n), '', 'block', '', 1, '', n FROM NUMBERS WHERE n % 100 = 0;
	INSERT INTO access_denials (id, denial_key, user_id, device_id, inputs, decision, trace, times, first_at, last_at)
		SELECT 'n' || 'u' || (1000000 + n), SHA256, 'u' || (1000000 + n), '', '', '', '', 1, n, n FROM NUMBERS;
	INSERT INTO access_changes (device_id, change, at, followed_at)
		SELECT 'a' || 'u' || (1000000 + n), '', n, CASE WHEN n % 10 = 0 THEN CAST(1000000 AS BIGINT) * n ELSE 0 END FROM NUMBERS;
	INSERT INTO work_outbox (kind, enrollment_id, at) SELECT 'verdict', 'e' || n, n FROM NUMBERS`

// TestAccessQueries: a page of people costs a page, and one of them next to nothing.
func TestAccessQueries(t *testing.T) {
	t.Parallel()
	const size = 100_000
	id := func(n int) directory.UserID { return directory.UserID(fmt.Sprint("u", 1_000_000+n)) }
	page := make([]directory.UserID, 100)
	for i := range page {
		page[i] = id(size/2 + 1 + i)
	}
	explain(t, people, size, store.AccessQueries(id(size/2), page, "au1050000", "nu1050000", size/2, time.UnixMicro(size*1_000_000/50)))
}
