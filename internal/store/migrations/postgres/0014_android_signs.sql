-- Only adds: a program that knows no more than 0013 works on this schema, and
-- writes down neither.

-- +goose Up

-- When Google told of something last, to the minute.
ALTER TABLE enroll_android_enterprises ADD COLUMN notified_at BIGINT NOT NULL DEFAULT 0;

-- When the attempt was that error tells of; 0: there is none.
ALTER TABLE enroll_android_phones ADD COLUMN failed_at BIGINT NOT NULL DEFAULT 0;
