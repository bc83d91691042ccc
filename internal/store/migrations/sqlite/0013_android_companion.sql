-- Only adds: a program that knows no more than 0012 works on this schema, and
-- brings no keys to Android phones.

-- +goose Up

-- The app that fetches certificates on Android phones: one row.
CREATE TABLE enroll_android_companions (
    id      TEXT NOT NULL PRIMARY KEY,
    package TEXT NOT NULL,
    set_at  BIGINT NOT NULL
);
