-- Only adds: a program that knows no more than 0006 works on this schema. What it
-- writes names no token, and is taken by nobody.

-- +goose Up

ALTER TABLE certs_smime_exports ADD COLUMN requested_token TEXT NOT NULL DEFAULT ''; -- ID of the one token that may take it
