-- Only adds: a program that knows no more than 0003 works on this schema.

-- +goose Up

-- The life of a CA. active_at is NULL in the rows of a program that knows no
-- more than 0003: what that made was in use from created_at on. private_key is
-- empty where the key is elsewhere.
ALTER TABLE certs_keys ADD COLUMN active_at BIGINT;
ALTER TABLE certs_keys ADD COLUMN retired_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE certs_challenges ADD COLUMN profile TEXT NOT NULL DEFAULT '';
CREATE INDEX certs_challenges_certificate ON certs_challenges (certificate_sha256) WHERE certificate_sha256 <> '';

ALTER TABLE certs_certificates ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE certs_certificates ADD COLUMN issuer TEXT NOT NULL DEFAULT ''; -- SubjectKeyId in hex; empty: only the certificate says
ALTER TABLE certs_certificates ADD COLUMN key_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE certs_certificates ADD COLUMN reason INTEGER NOT NULL DEFAULT 0; -- of revoked_at
CREATE INDEX certs_certificates_key ON certs_certificates (key_hash);
CREATE INDEX certs_certificates_rule ON certs_certificates (rule, sha256);
CREATE INDEX certs_certificates_expiry ON certs_certificates (not_after, sha256, issuer) WHERE revoked_at = 0;
CREATE INDEX certs_certificates_revoked ON certs_certificates (issuer, not_after, serial, revoked_at, reason) WHERE revoked_at <> 0;
CREATE INDEX certs_certificates_revocations ON certs_certificates (revoked_at) WHERE revoked_at <> 0;

ALTER TABLE enroll_enrollments ADD COLUMN renewals TEXT NOT NULL DEFAULT ''; -- identities that are due to be replaced

-- Whoever claimed a challenge named the key.
UPDATE certs_certificates SET key_hash = lower(hex(c.key_hash))
FROM certs_challenges c WHERE c.certificate_sha256 = certs_certificates.sha256 AND c.certificate_sha256 <> '';

-- A phone's identity is older than its enrolment, which it belongs to from now on.
UPDATE certs_certificates SET enrollment_id = e.id
FROM enroll_enrollments e WHERE e.certificate_hash = certs_certificates.sha256
    AND certs_certificates.enrollment_id = '' AND certs_certificates.rule = 'mdm-identity';
