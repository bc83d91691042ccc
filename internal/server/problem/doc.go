// Package problem is the one table that turns errors into answers: RFC 9457
// application/problem+json with a stable type, the refusals by field, and the
// request's identifier. An error that the table does not know is 500 without
// any detail. Unstable.
package problem
