-- Only adds: a program that knows no more than 0004 works on this schema.

-- +goose Up

CREATE TABLE certs_smime_keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id     TEXT COLLATE "C" NOT NULL REFERENCES directory_users (id),
    usage       TEXT COLLATE "C" NOT NULL,
    source      TEXT COLLATE "C" NOT NULL,
    certificate BYTEA            NOT NULL,
    chain       TEXT COLLATE "C" NOT NULL, -- from the issuer up
    private_key BYTEA            NOT NULL, -- sealed
    sha256      TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    mails       TEXT COLLATE "C" NOT NULL,
    not_before  BIGINT           NOT NULL,
    not_after   BIGINT           NOT NULL,
    created_at  BIGINT           NOT NULL,
    revoked_at  BIGINT           NOT NULL,
    reason      INTEGER          NOT NULL
);
CREATE UNIQUE INDEX certs_smime_keys_once ON certs_smime_keys (user_id, usage, sha256);
CREATE INDEX certs_smime_keys_certificate ON certs_smime_keys (sha256);
CREATE INDEX certs_smime_keys_expiry ON certs_smime_keys (not_after, id) WHERE revoked_at = 0;

CREATE TABLE certs_smime_exports (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id      TEXT COLLATE "C" NOT NULL,
    key_ids      TEXT COLLATE "C" NOT NULL,
    reason       TEXT COLLATE "C" NOT NULL,
    requested_by TEXT COLLATE "C" NOT NULL,
    requested_at BIGINT           NOT NULL,
    expires_at   BIGINT           NOT NULL,
    approved_by  TEXT COLLATE "C" NOT NULL,
    approved_at  BIGINT           NOT NULL,
    taken_at     BIGINT           NOT NULL
);
