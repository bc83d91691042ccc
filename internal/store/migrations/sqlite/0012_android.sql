-- Only adds: a program that knows no more than 0011 works on this schema, with a
-- slower search by certificate.

-- +goose Up

-- An Android phone has no identity certificate.
DROP INDEX enroll_enrollments_certificate;
CREATE UNIQUE INDEX enroll_enrollments_certificate ON enroll_enrollments (certificate_hash) WHERE certificate_hash <> '';

-- What ties this installation to Google: one row.
CREATE TABLE enroll_android_enterprises (
    id          TEXT   NOT NULL PRIMARY KEY,
    project     TEXT   NOT NULL,
    topic       TEXT   NOT NULL,
    account     BLOB   NOT NULL, -- sealed
    signup      TEXT   NOT NULL,
    state_hash  BLOB,            -- of the sign-up under way
    state_until BIGINT NOT NULL,
    name        TEXT   NOT NULL, -- empty until the sign-up is finished
    secret      BLOB   NOT NULL, -- sealed
    created_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    set_up_at   BIGINT NOT NULL
);

-- What enrolment tokens at Google carry.
CREATE TABLE enroll_android_tickets (
    hash          BLOB    NOT NULL PRIMARY KEY,
    seq           BIGINT  NOT NULL, -- of the invitation's
    invitation_id TEXT    NOT NULL,
    ownership     TEXT    NOT NULL,
    token         TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT  NOT NULL,
    void_at       BIGINT  NOT NULL,
    used_at       BIGINT  NOT NULL,
    enrollment_id TEXT    NOT NULL,
    due           BIGINT  NOT NULL, -- 0: the token is gone
    attempts      INTEGER NOT NULL
);
CREATE UNIQUE INDEX enroll_android_tickets_invitation ON enroll_android_tickets (invitation_id, seq);
CREATE INDEX enroll_android_tickets_due ON enroll_android_tickets (due) WHERE due <> 0;

-- What ties an enrolment to a device at Google, and what that was told.
CREATE TABLE enroll_android_phones (
    enrollment_id TEXT    NOT NULL PRIMARY KEY REFERENCES enroll_enrollments (id),
    name          TEXT    NOT NULL,
    mode          TEXT    NOT NULL,
    reported_at   BIGINT  NOT NULL,
    sent          TEXT    NOT NULL,
    due           BIGINT  NOT NULL, -- 0: nothing waits
    attempts      INTEGER NOT NULL,
    error         TEXT    NOT NULL
);
CREATE UNIQUE INDEX enroll_android_phones_name ON enroll_android_phones (name);
CREATE INDEX enroll_android_phones_due ON enroll_android_phones (due, enrollment_id) WHERE due <> 0;

-- What Google made of our commands.
CREATE TABLE enroll_android_operations (
    name          TEXT   NOT NULL PRIMARY KEY,
    enrollment_id TEXT   NOT NULL REFERENCES enroll_enrollments (id),
    command_id    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX enroll_android_operations_command ON enroll_android_operations (command_id);

-- What mail apps say of their own managed configurations.
CREATE TABLE enroll_android_schemas (
    package    TEXT   NOT NULL PRIMARY KEY,
    keys       TEXT   NOT NULL, -- JSON
    fetched_at BIGINT NOT NULL
);
