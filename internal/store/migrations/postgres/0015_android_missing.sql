-- Only adds: a program that knows no more than 0014 works on this schema, and
-- ends no enrolment because Google's list lacks its phone.

-- +goose Up

-- Since when complete lists of Google's devices lack the phone; 0: they do not.
ALTER TABLE enroll_android_phones ADD COLUMN missing_since BIGINT NOT NULL DEFAULT 0;
