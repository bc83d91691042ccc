-- Only adds: a program that knows no more than 0010 works on this schema.

-- +goose Up

-- The oldest denials of a device are found where it has too many.
CREATE INDEX access_denials_device ON access_denials (device_id, last_at, id);
