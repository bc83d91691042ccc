-- Only adds: a program that knows no more than 0001 works on this schema.

-- +goose Up

ALTER TABLE directory_users ADD COLUMN shared_mailbox BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE templates_secrets (
    name       TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL, -- empty: for everyone
    kind       TEXT COLLATE "C" NOT NULL,
    revision   TEXT COLLATE "C" NOT NULL,
    value      BYTEA            NOT NULL, -- sealed
    data       BYTEA,            -- sealed
    subject    TEXT COLLATE "C" NOT NULL,
    upns       TEXT COLLATE "C" NOT NULL,
    mails      TEXT COLLATE "C" NOT NULL,
    not_after  BIGINT           NOT NULL,
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (name, user_id)
);
CREATE INDEX templates_secrets_user ON templates_secrets (user_id, name);

CREATE TABLE templates_security_policies (
    name       TEXT COLLATE "C" NOT NULL,
    number     INTEGER          NOT NULL,
    policy_id  TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    spec       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, number)
);
CREATE UNIQUE INDEX templates_security_policies_id ON templates_security_policies (policy_id, number);
