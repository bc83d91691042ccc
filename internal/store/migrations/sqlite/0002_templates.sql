-- Only adds: a program that knows no more than 0001 works on this schema.

-- +goose Up

ALTER TABLE directory_users ADD COLUMN shared_mailbox BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE templates_secrets (
    name       TEXT   NOT NULL,
    user_id    TEXT   NOT NULL, -- empty: for everyone
    kind       TEXT   NOT NULL,
    revision   TEXT   NOT NULL,
    value      BLOB   NOT NULL, -- sealed
    data       BLOB,            -- sealed
    subject    TEXT   NOT NULL,
    upns       TEXT   NOT NULL,
    mails      TEXT   NOT NULL,
    not_after  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, user_id)
);
CREATE INDEX templates_secrets_user ON templates_secrets (user_id, name);

CREATE TABLE templates_security_policies (
    name       TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    policy_id  TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    spec       TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    created_by TEXT    NOT NULL,
    PRIMARY KEY (name, number)
);
CREATE UNIQUE INDEX templates_security_policies_id ON templates_security_policies (policy_id, number);
