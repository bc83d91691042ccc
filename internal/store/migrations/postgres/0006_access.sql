-- Only adds: a program that knows no more than 0005 works on this schema.

-- +goose Up

ALTER TABLE work_outbox ADD COLUMN user_id TEXT COLLATE "C" NOT NULL DEFAULT ''; -- of events that are about a user

-- Mail clients that were met. device_key is the one form of all spellings; the
-- other _key columns are folded, for lists.
CREATE TABLE access_devices (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES directory_users (id),
    device_key TEXT COLLATE "C" NOT NULL,
    spellings  TEXT COLLATE "C" NOT NULL,
    type       TEXT COLLATE "C" NOT NULL,
    type_key   TEXT COLLATE "C" NOT NULL,
    model      TEXT COLLATE "C" NOT NULL,
    model_key  TEXT COLLATE "C" NOT NULL,
    os         TEXT COLLATE "C" NOT NULL,
    user_agent TEXT COLLATE "C" NOT NULL,
    protocol   TEXT COLLATE "C" NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    bound      TEXT COLLATE "C" NOT NULL, -- an enrolment, by an admin or a guess
    proof      TEXT COLLATE "C" NOT NULL,
    first_at   BIGINT           NOT NULL,
    last_at    BIGINT           NOT NULL,
    sync_at    BIGINT           NOT NULL,
    effect     TEXT COLLATE "C" NOT NULL, -- as last published
    step       TEXT COLLATE "C" NOT NULL,
    since_at   BIGINT           NOT NULL
);
CREATE UNIQUE INDEX access_devices_once ON access_devices (user_id, device_key);
CREATE INDEX access_devices_effect ON access_devices (effect, id);
CREATE INDEX access_devices_bound ON access_devices (bound) WHERE bound <> '';

CREATE TABLE access_rules (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    rule       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL
);

CREATE TABLE access_policies (
    name       TEXT COLLATE "C" NOT NULL,
    number     INTEGER          NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    spec       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, number)
);

-- What decided before there were policies: whoever is enrolled and compliant.
INSERT INTO access_policies (name, number, source, spec, created_at, created_by) VALUES ('standard', 1,
'name: standard
assign: everyone
mode: enforce
require: [enrolled, compliant]
', '{"name":"standard","assign":"everyone","except":{},"mode":"enforce","require":["enrolled","compliant"]}',
CAST(EXTRACT(EPOCH FROM date_trunc('second', now())) AS BIGINT) * 1000000, 'system');

-- What admins say of a user's device, or of all of them (device_key is empty).
CREATE TABLE access_personal (
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES directory_users (id),
    device_key TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    noted_by   TEXT COLLATE "C" NOT NULL,
    noted_at   BIGINT           NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL,
    PRIMARY KEY (user_id, device_key, kind)
);
CREATE INDEX access_personal_expiry ON access_personal (expires_at, user_id) WHERE expires_at <> 0;

CREATE TABLE access_mail_off (
    user_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES directory_users (id),
    noted_by TEXT COLLATE "C" NOT NULL,
    noted_at BIGINT           NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL
);

CREATE TABLE access_denials (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    denial_key TEXT COLLATE "C" NOT NULL, -- of all that makes two denials the same
    user_id    TEXT COLLATE "C" NOT NULL,
    device_id  TEXT COLLATE "C" NOT NULL,
    inputs     TEXT COLLATE "C" NOT NULL,
    decision   TEXT COLLATE "C" NOT NULL,
    trace      TEXT COLLATE "C" NOT NULL,
    times      BIGINT           NOT NULL,
    first_at   BIGINT           NOT NULL,
    last_at    BIGINT           NOT NULL
);
CREATE UNIQUE INDEX access_denials_once ON access_denials (denial_key);
CREATE INDEX access_denials_user ON access_denials (user_id, id);
CREATE INDEX access_denials_last ON access_denials (last_at, id);

-- The feed. followed_at is when a newer row of the same device came, 0 for the
-- newest one.
CREATE TABLE access_changes (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id   TEXT COLLATE "C" NOT NULL,
    change      TEXT COLLATE "C" NOT NULL,
    at          BIGINT           NOT NULL,
    followed_at BIGINT           NOT NULL
);
CREATE INDEX access_changes_device ON access_changes (device_id, seq);
CREATE UNIQUE INDEX access_changes_newest ON access_changes (device_id) WHERE followed_at = 0;
CREATE INDEX access_changes_followed ON access_changes (followed_at, seq) WHERE followed_at <> 0;
