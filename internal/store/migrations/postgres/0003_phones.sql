-- Only adds: a program that knows no more than 0002 works on this schema.

-- +goose Up

ALTER TABLE enroll_devices ADD COLUMN label TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE enroll_enrollments ADD COLUMN withheld TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE enroll_enrollments ADD COLUMN held_device TEXT COLLATE "C" NOT NULL DEFAULT 'null'; -- what a held phone says of itself
ALTER TABLE enroll_enrollments ADD COLUMN push_told TEXT COLLATE "C" NOT NULL DEFAULT 'null'; -- fingerprints of TokenUpdate messages, the latest last
ALTER TABLE enroll_enrollments ADD COLUMN held_act TEXT COLLATE "C" NOT NULL DEFAULT ''; -- the act that it would evade
ALTER TABLE enroll_enrollments ADD COLUMN admitted_at BIGINT NOT NULL DEFAULT 0; -- when an admin let it in that was held
CREATE INDEX enroll_enrollments_poll_only ON enroll_enrollments (state) WHERE poll_only = TRUE;

ALTER TABLE enroll_commands ADD COLUMN chain TEXT COLLATE "C" NOT NULL DEFAULT 'null';
ALTER TABLE enroll_commands ADD COLUMN action_id TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX enroll_commands_older ON enroll_commands (enrollment_id, seq) WHERE recent = FALSE;

ALTER TABLE auth_tokens ADD COLUMN created_by TEXT COLLATE "C" NOT NULL DEFAULT ''; -- owner of the token that made it

CREATE TABLE enroll_actions (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    enrollment_id TEXT COLLATE "C" NOT NULL REFERENCES enroll_enrollments (id),
    kind          TEXT COLLATE "C" NOT NULL,
    parameters    BYTEA            NOT NULL, -- sealed
    state         TEXT COLLATE "C" NOT NULL,
    command_id    TEXT COLLATE "C" NOT NULL,
    requested_by  TEXT COLLATE "C" NOT NULL,
    requested_at  BIGINT           NOT NULL,
    approved_by   TEXT COLLATE "C" NOT NULL,
    sent_at       BIGINT           NOT NULL,
    done_at       BIGINT           NOT NULL,
    expires_at    BIGINT           NOT NULL,
    error         TEXT COLLATE "C" NOT NULL,
    result        BYTEA            -- sealed
);
CREATE INDEX enroll_actions_enrollment ON enroll_actions (enrollment_id, id);
CREATE INDEX enroll_actions_open ON enroll_actions (enrollment_id, id) WHERE state IN ('unapproved', 'pending', 'sent');
CREATE INDEX enroll_actions_expiry ON enroll_actions (expires_at, id) WHERE state IN ('unapproved', 'pending', 'sent');
CREATE UNIQUE INDEX enroll_actions_once ON enroll_actions (enrollment_id, kind)
    WHERE state IN ('unapproved', 'pending', 'sent') AND kind NOT IN ('query', 'command');

-- One narrow row for each active enrolment that push can reach: to wake everybody
-- rewrites neither their reports nor rows that their contacts change meanwhile.
-- quiet_since is no later than the last contact or push. It is brought up to
-- date only when it seems to be due, so that a contact costs nothing here.
CREATE TABLE enroll_wakes (
    enrollment_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES enroll_enrollments (id),
    topic         TEXT COLLATE "C" NOT NULL,
    due           BIGINT           NOT NULL,
    attempts      INTEGER          NOT NULL,
    pushed_at     BIGINT           NOT NULL,
    error         TEXT COLLATE "C" NOT NULL,
    dead          BOOLEAN          NOT NULL,
    token_changed BIGINT           NOT NULL,
    quiet_since   BIGINT           NOT NULL
);
CREATE INDEX enroll_wakes_due ON enroll_wakes (due, enrollment_id) WHERE due <> 0;
CREATE INDEX enroll_wakes_quiet ON enroll_wakes (quiet_since, enrollment_id) WHERE due = 0 AND dead = FALSE;

INSERT INTO enroll_wakes (enrollment_id, topic, due, attempts, pushed_at, error, dead, token_changed, quiet_since)
SELECT id, push_topic, 0, 0, 0, '', FALSE, 0, enrolled_at FROM enroll_enrollments
WHERE state IN ('enrolled', 'configured') AND poll_only = FALSE AND push_updated_at <> 0;
