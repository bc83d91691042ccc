-- Only adds: a program that knows no more than 0004 works on this schema.

-- +goose Up

CREATE TABLE certs_smime_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    user_id     TEXT    NOT NULL REFERENCES directory_users (id),
    usage       TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    certificate BLOB    NOT NULL,
    chain       TEXT    NOT NULL, -- from the issuer up
    private_key BLOB    NOT NULL, -- sealed
    sha256      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    mails       TEXT    NOT NULL,
    not_before  BIGINT  NOT NULL,
    not_after   BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL,
    revoked_at  BIGINT  NOT NULL,
    reason      INTEGER NOT NULL
);
CREATE UNIQUE INDEX certs_smime_keys_once ON certs_smime_keys (user_id, usage, sha256);
CREATE INDEX certs_smime_keys_certificate ON certs_smime_keys (sha256);
CREATE INDEX certs_smime_keys_expiry ON certs_smime_keys (not_after, id) WHERE revoked_at = 0;

CREATE TABLE certs_smime_exports (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL,
    key_ids      TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    requested_by TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    approved_by  TEXT   NOT NULL,
    approved_at  BIGINT NOT NULL,
    taken_at     BIGINT NOT NULL
);
