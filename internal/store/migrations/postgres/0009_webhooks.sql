-- Only adds: a program that knows no more than 0008 works on this schema.

-- +goose Up

CREATE TABLE access_webhooks (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    url           TEXT COLLATE "C" NOT NULL,
    events        TEXT COLLATE "C" NOT NULL,
    secret        BYTEA NOT NULL, -- sealed
    created_by    TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT  NOT NULL,
    position      BIGINT  NOT NULL, -- of the feed: up to here, deliveries were made of it
    failures      INTEGER NOT NULL, -- in a row
    failing_since BIGINT  NOT NULL,
    next_at       BIGINT  NOT NULL, -- nothing is sent before
    delivered_at  BIGINT  NOT NULL,
    disabled_at   BIGINT  NOT NULL,
    trouble       TEXT COLLATE "C" NOT NULL
);

-- What is to be sent, each as a text that does not change between two tries.
CREATE TABLE access_deliveries (
    webhook_id TEXT COLLATE "C" NOT NULL REFERENCES access_webhooks (id),
    seq        BIGINT  NOT NULL,
    event      TEXT COLLATE "C" NOT NULL,
    device_id  TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    attempts   INTEGER NOT NULL,
    created_at BIGINT  NOT NULL,
    next_at    BIGINT  NOT NULL,
    PRIMARY KEY (webhook_id, seq, event)
);
CREATE INDEX access_deliveries_order ON access_deliveries (webhook_id, device_id, seq, event);
CREATE INDEX access_deliveries_next ON access_deliveries (next_at, seq);
