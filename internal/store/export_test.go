package store

import (
	"time"

	"sallyport/certs"
)

// Query is one that is asked of a whole fleet.
type Query struct {
	Name, Text string
	Args       []any
	Ordered    bool // it follows an index in its order, so that a page costs no more than a page
}

// IdentityQueries are those that find identities among all on record.
func IdentityQueries(now, before time.Time, sha256, enrollment, user string) []Query {
	list := func(name string, f certs.CertificateFilter, ordered bool) Query {
		query, args := listCertificates(f)
		return Query{"list " + name, query, args, ordered}
	}
	return []Query{
		{"pinned", pinnedQuery, []any{sha256}, false},
		{"issued", issuedQuery, []any{sha256}, false},
		{"expiring", expiringIdentities, []any{micros(before), 0, "", 100}, true},
		{"expiring, next page", expiringIdentities, []any{micros(before), micros(now), sha256, 100}, true},
		{"untold", untoldIdentities, []any{"", micros(now), 100}, true},
		{"untold, next page", untoldIdentities, []any{enrollment, micros(now), 100}, true},
		{"untold phones", untoldPhones, []any{"", micros(now), 100}, true},
		{"untold phones, next page", untoldPhones, []any{enrollment, micros(now), 100}, true},
		{"certificates of an enrolment", certificatesOfRule, []any{enrollment, "mdm-identity"}, false},
		{"revoke those of an enrolment", revokeOfEnrollment, []any{enrollment, 1, 5}, false},
		{"mail identities", mailIdentities, []any{enrollment}, false},
		{"challenge of a certificate", challengeOf, []any{sha256}, false},
		{"mark", revocationMark, []any{micros(now)}, false},
		{"revoked", revokedBy, []any{"i", micros(now)}, false},
		{"revoked, unsaid", revokedUnsaid, []any{micros(now)}, false},
		{"valid", validByIssuer, []any{micros(now)}, false},
		{"valid of an issuer", underIssuer, []any{micros(now), afterAll, "i", 100}, true},
		{"valid, unsaid", validUnsaid, []any{micros(now)}, false},
		{"holder of a key", keyHolder, []any{sha256}, false},
		{"unrevoked of a key", unrevokedOfKey, []any{sha256, sha256}, false},
		{"keys that nobody noted", namelessKeys, nil, false},
		{"of enrolments that ended", endedHolders, []any{micros(now), sha256, 100}, true},
		{"sharer of a key", keySharer, []any{sha256}, false},
		list("all", certs.CertificateFilter{}, true),
		list("page", certs.CertificateFilter{After: sha256}, true),
		list("user", certs.CertificateFilter{UserID: user}, false),
		list("enrolment", certs.CertificateFilter{EnrollmentID: enrollment}, false),
		list("rule", certs.CertificateFilter{Rule: certs.RuleSMIMESigning}, true),
		list("expiring", certs.CertificateFilter{ExpiringBefore: before, Now: now}, false),
	}
}
