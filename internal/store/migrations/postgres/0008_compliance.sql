-- Only adds: a program that knows no more than 0005 works on this schema.

-- +goose Up

-- The one evaluation of all enrolments that is under way, or was last. It goes
-- round: from where it began to the end, and from the start to there.
CREATE TABLE compliance_runs (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    event_id    BIGINT NOT NULL, -- the newest event that asked for it
    reason      TEXT COLLATE "C" NOT NULL,
    began       TEXT COLLATE "C" NOT NULL, -- the enrolment after which it began
    position    TEXT COLLATE "C" NOT NULL, -- the enrolment up to which it is done
    wrapped     BOOLEAN NOT NULL,
    done        BIGINT NOT NULL,
    total       BIGINT NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL
);

-- Phones that do not comply, and how long they were watched so.
CREATE TABLE compliance_spells (
    enrollment_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES enroll_enrollments (id),
    id            TEXT COLLATE "C" NOT NULL,
    started_at    BIGINT NOT NULL,
    watched       BIGINT NOT NULL, -- microseconds
    reported      BIGINT NOT NULL, -- of them, while the phone itself told what it fails
    at            BIGINT NOT NULL, -- up to when
    running       INTEGER NOT NULL, -- 0 paused, 1 failing, 2 by what the phone told
    next_at       BIGINT NOT NULL,
    user_at       BIGINT NOT NULL,
    admins_at     BIGINT NOT NULL,
    retire_at     BIGINT NOT NULL
);
CREATE INDEX compliance_spells_next ON compliance_spells (next_at, enrollment_id);

CREATE TABLE compliance_notices (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    enrollment_id TEXT COLLATE "C" NOT NULL REFERENCES enroll_enrollments (id),
    notice        TEXT COLLATE "C" NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       BIGINT NOT NULL
);
CREATE INDEX compliance_notices_next ON compliance_notices (next_at, id);
CREATE INDEX compliance_notices_enrollment ON compliance_notices (enrollment_id);
