-- Times are microseconds since 1970 UTC, 0 stands for "never". Columns that end
-- in _key are folded to lower case by the store, so that uniqueness does not
-- depend on an engine's idea of case; COLLATE "C" orders texts as SQLite does,
-- whatever the database's locale is. A released migration is never edited.

-- +goose Up

CREATE TABLE app_settings (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE audit_entries (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT           NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    target     TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    detail     TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_entries_action ON audit_entries (action, id);
CREATE INDEX audit_entries_target ON audit_entries (target, id);
CREATE INDEX audit_entries_actor ON audit_entries (actor, id);

-- +goose StatementBegin
CREATE FUNCTION audit_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are append-only';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_append_only();

CREATE TABLE work_outbox (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          TEXT COLLATE "C" NOT NULL,
    enrollment_id TEXT COLLATE "C" NOT NULL,
    at            BIGINT           NOT NULL
);
CREATE TABLE work_cursors (
    consumer TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    last_id  BIGINT           NOT NULL
);

CREATE TABLE auth_tokens (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash       BYTEA            NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL,
    revoked_at BIGINT           NOT NULL
);
CREATE UNIQUE INDEX auth_tokens_hash ON auth_tokens (hash);

-- A removed user keeps the row (certificates and enrolments refer to it) and
-- gives back its names: the unique indexes cover those on record only.
CREATE TABLE directory_users (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    upn            TEXT COLLATE "C" NOT NULL,
    upn_key        TEXT COLLATE "C" NOT NULL,
    email          TEXT COLLATE "C" NOT NULL,
    email_key      TEXT COLLATE "C" NOT NULL,
    username       TEXT COLLATE "C" NOT NULL,
    username_key   TEXT COLLATE "C" NOT NULL,
    domain_name    TEXT COLLATE "C" NOT NULL,
    down_level_key TEXT COLLATE "C" NOT NULL, -- DOMAIN\username, empty without a domain
    display_name   TEXT COLLATE "C" NOT NULL,
    first_name     TEXT COLLATE "C" NOT NULL,
    middle_name    TEXT COLLATE "C" NOT NULL,
    last_name      TEXT COLLATE "C" NOT NULL,
    group_names    TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT           NOT NULL,
    updated_at     BIGINT           NOT NULL,
    removed_at     BIGINT           NOT NULL
);
CREATE UNIQUE INDEX directory_users_upn ON directory_users (upn_key) WHERE removed_at = 0;
CREATE UNIQUE INDEX directory_users_email ON directory_users (email_key) WHERE removed_at = 0;
CREATE INDEX directory_users_username ON directory_users (username_key) WHERE removed_at = 0;
CREATE INDEX directory_users_down_level ON directory_users (down_level_key) WHERE removed_at = 0;

-- Which users are in a group: the index behind group_names.
CREATE TABLE directory_memberships (
    group_key TEXT COLLATE "C" NOT NULL,
    user_id   TEXT COLLATE "C" NOT NULL REFERENCES directory_users (id),
    PRIMARY KEY (group_key, user_id)
);
CREATE INDEX directory_memberships_user ON directory_memberships (user_id);

CREATE TABLE enroll_invitations (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    code_hash  BYTEA            NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES directory_users (id),
    ownership  TEXT COLLATE "C" NOT NULL,
    pin_hash   BYTEA,
    state      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL,
    used_at    BIGINT           NOT NULL
);
CREATE UNIQUE INDEX enroll_invitations_code ON enroll_invitations (code_hash);
CREATE INDEX enroll_invitations_user ON enroll_invitations (user_id, id);

CREATE TABLE enroll_devices (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    platform   TEXT COLLATE "C" NOT NULL,
    udid       TEXT COLLATE "C" NOT NULL,
    serial     TEXT COLLATE "C" NOT NULL,
    product    TEXT COLLATE "C" NOT NULL,
    model      TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL
);
CREATE UNIQUE INDEX enroll_devices_udid ON enroll_devices (platform, udid);

CREATE TABLE enroll_enrollments (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    device_id        TEXT COLLATE "C" NOT NULL REFERENCES enroll_devices (id),
    user_id          TEXT COLLATE "C" NOT NULL REFERENCES directory_users (id),
    invitation_id    TEXT COLLATE "C" NOT NULL,
    platform         TEXT COLLATE "C" NOT NULL,
    ownership        TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    udid             TEXT COLLATE "C" NOT NULL,
    certificate_hash TEXT COLLATE "C" NOT NULL,
    access_rights    INTEGER          NOT NULL,
    topic            TEXT COLLATE "C" NOT NULL,
    poll_only        BOOLEAN          NOT NULL,
    created_at       BIGINT           NOT NULL,
    enrolled_at      BIGINT           NOT NULL,
    last_seen_at     BIGINT           NOT NULL,
    idle_at          BIGINT           NOT NULL,
    ended_at         BIGINT           NOT NULL,
    state_changed_at BIGINT           NOT NULL,
    report           TEXT COLLATE "C" NOT NULL,
    reported_at      BIGINT           NOT NULL,
    eas_device_id    TEXT COLLATE "C" NOT NULL, -- of the report, in lower case
    push_topic       TEXT COLLATE "C" NOT NULL DEFAULT '',
    push_token       BYTEA,             -- sealed
    push_magic       BYTEA,             -- sealed
    unlock_token     BYTEA,             -- sealed
    push_updated_at  BIGINT           NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX enroll_enrollments_certificate ON enroll_enrollments (certificate_hash);
CREATE INDEX enroll_enrollments_device ON enroll_enrollments (device_id, id);
CREATE INDEX enroll_enrollments_user ON enroll_enrollments (user_id, eas_device_id);
CREATE INDEX enroll_enrollments_eas ON enroll_enrollments (eas_device_id);
CREATE INDEX enroll_enrollments_state ON enroll_enrollments (state, id);

-- recent marks the newest few of each request type and subject: the only ones
-- that planning reads, however long a phone has been with us.
CREATE TABLE enroll_commands (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT COLLATE "C" NOT NULL,
    enrollment_id TEXT COLLATE "C" NOT NULL REFERENCES enroll_enrollments (id),
    request_type  TEXT COLLATE "C" NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL,
    revision      TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    error         TEXT COLLATE "C" NOT NULL,
    sent_at       BIGINT           NOT NULL,
    done_at       BIGINT           NOT NULL,
    recent        BOOLEAN          NOT NULL
);
CREATE UNIQUE INDEX enroll_commands_id ON enroll_commands (id);
CREATE INDEX enroll_commands_recent ON enroll_commands (enrollment_id, request_type, subject, seq) WHERE recent = TRUE;
CREATE INDEX enroll_commands_sent ON enroll_commands (enrollment_id) WHERE state = 'sent';

CREATE TABLE certs_challenges (
    hash               BYTEA            NOT NULL PRIMARY KEY,
    rule               TEXT COLLATE "C" NOT NULL,
    entitlement        TEXT COLLATE "C" NOT NULL, -- the grant ("grant" is a reserved word)
    user_id            TEXT COLLATE "C" NOT NULL,
    invitation_id      TEXT COLLATE "C" NOT NULL,
    enrollment_id      TEXT COLLATE "C" NOT NULL,
    created_at         BIGINT           NOT NULL,
    expires_at         BIGINT           NOT NULL,
    void_at            BIGINT           NOT NULL,
    claimed_at         BIGINT           NOT NULL,
    transaction_id     TEXT COLLATE "C" NOT NULL,
    key_hash           BYTEA,
    serial             BYTEA,
    not_before         BIGINT           NOT NULL,
    not_after          BIGINT           NOT NULL,
    certificate_sha256 TEXT COLLATE "C" NOT NULL
);
CREATE INDEX certs_challenges_user ON certs_challenges (user_id);
CREATE INDEX certs_challenges_invitation ON certs_challenges (invitation_id);
CREATE INDEX certs_challenges_enrollment ON certs_challenges (enrollment_id, rule);

CREATE TABLE certs_certificates (
    sha256        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    der           BYTEA            NOT NULL,
    serial        TEXT COLLATE "C" NOT NULL,
    rule          TEXT COLLATE "C" NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL,
    invitation_id TEXT COLLATE "C" NOT NULL,
    enrollment_id TEXT COLLATE "C" NOT NULL,
    not_before    BIGINT           NOT NULL,
    not_after     BIGINT           NOT NULL,
    issued_at     BIGINT           NOT NULL,
    revoked_at    BIGINT           NOT NULL
);
CREATE UNIQUE INDEX certs_certificates_serial ON certs_certificates (serial);
CREATE INDEX certs_certificates_enrollment ON certs_certificates (enrollment_id, rule);
CREATE INDEX certs_certificates_user ON certs_certificates (user_id);

CREATE TABLE certs_keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    role        TEXT COLLATE "C" NOT NULL,
    certificate BYTEA            NOT NULL,
    private_key BYTEA            NOT NULL, -- sealed
    created_at  BIGINT           NOT NULL
);

CREATE TABLE templates_revisions (
    name        TEXT COLLATE "C" NOT NULL,
    number      INTEGER          NOT NULL,
    template_id TEXT COLLATE "C" NOT NULL,
    source      TEXT COLLATE "C" NOT NULL,
    spec        TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT           NOT NULL,
    created_by  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, number)
);
CREATE UNIQUE INDEX templates_revisions_id ON templates_revisions (template_id, number);

CREATE TABLE compliance_policies (
    name       TEXT COLLATE "C" NOT NULL,
    number     INTEGER          NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    spec       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, number)
);

CREATE TABLE compliance_verdicts (
    enrollment_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES enroll_enrollments (id),
    state         TEXT COLLATE "C" NOT NULL,
    since         BIGINT           NOT NULL,
    at            BIGINT           NOT NULL,
    valid_until   BIGINT           NOT NULL,
    grace_until   BIGINT           NOT NULL,
    policy        TEXT COLLATE "C" NOT NULL,
    findings      TEXT COLLATE "C" NOT NULL,
    changed_at    BIGINT           NOT NULL -- when state last changed
);
CREATE INDEX compliance_verdicts_due ON compliance_verdicts (valid_until, enrollment_id);
CREATE INDEX compliance_verdicts_state ON compliance_verdicts (state);
