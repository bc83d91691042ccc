-- Only adds: a program that knows no more than 0005 works on this schema.

-- +goose Up

-- Mails to people, each once. The text goes when it was sent.
CREATE TABLE mails (
    key        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    recipient  TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    text       TEXT COLLATE "C" NOT NULL,
    locale     TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL, -- waiting, sent, refused, expired, dropped
    attempts   INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL, -- 0: it waits no longer
    done_at    BIGINT NOT NULL, -- of the newest try
    reply      TEXT COLLATE "C" NOT NULL -- the server's words to it
);
CREATE INDEX mails_next ON mails (state, next_at, key);
CREATE INDEX mails_done ON mails (done_at, key);

-- What is still to be said to the owners of devices, and when they heard last.
CREATE TABLE access_notices (
    device_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    told_at   BIGINT NOT NULL, -- the newest mail
    due_at    BIGINT NOT NULL, -- 0: nothing waits
    seq       BIGINT NOT NULL, -- of the change
    change    TEXT COLLATE "C" NOT NULL -- JSON; empty when nothing waits
);
CREATE INDEX access_notices_due ON access_notices (due_at, device_id);

-- The lines of the next mail to admins, and those of earlier ones for a while.
CREATE TABLE access_digest (
    key     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    line    TEXT COLLATE "C" NOT NULL, -- JSON
    urgent  BOOLEAN NOT NULL, -- an admin is waited for
    sent_at BIGINT NOT NULL -- 0: it waits
);
CREATE INDEX access_digest_waiting ON access_digest (sent_at, at, key);
