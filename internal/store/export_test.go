package store

import (
	"time"

	"sallyport/certs"
)

// Query is one that is asked of a whole fleet.
type Query struct {
	Name, Text string
	Args       []any
	Index      string // that it uses on both engines; empty: any
	Ordered    bool   // it follows an index in its order, so that a page costs no more than a page
}

// IdentityQueries are those that find identities among all on record.
func IdentityQueries(now, before time.Time, sha256, enrollment, user string) []Query {
	list := func(name string, f certs.CertificateFilter, ordered bool) Query {
		query, args := listCertificates(f)
		return Query{Name: "list " + name, Text: query, Args: args, Ordered: ordered}
	}
	return []Query{
		{Name: "pinned", Text: pinnedQuery, Args: []any{sha256}},
		{Name: "issued", Text: issuedQuery, Args: []any{sha256}},
		{Name: "expiring", Text: expiringIdentities, Args: []any{micros(before), 0, "", 100}, Ordered: true},
		{Name: "expiring, next page", Text: expiringIdentities, Args: []any{micros(before), micros(now), sha256, 100}, Ordered: true},
		{Name: "untold", Text: untoldIdentities, Args: []any{"", micros(now), 100}, Ordered: true},
		{Name: "untold, next page", Text: untoldIdentities, Args: []any{enrollment, micros(now), 100}, Ordered: true},
		{Name: "untold phones", Text: untoldPhones, Args: []any{"", micros(now), 100}, Ordered: true},
		{Name: "untold phones, next page", Text: untoldPhones, Args: []any{enrollment, micros(now), 100}, Ordered: true},
		{Name: "certificates of an enrolment", Text: certificatesOfRule, Args: []any{enrollment, "mdm-identity"}},
		{Name: "revoke those of an enrolment", Text: revokeOfEnrollment, Args: []any{enrollment, 1, 5}},
		{Name: "mail identities", Text: mailIdentities, Args: []any{enrollment}},
		{Name: "challenge of a certificate", Text: challengeOf, Args: []any{sha256}},
		{Name: "mark", Text: revocationMark, Args: []any{micros(now)}},
		{Name: "revoked", Text: revokedBy, Args: []any{"i", micros(now)}},
		{Name: "revoked, unsaid", Text: revokedUnsaid, Args: []any{micros(now)}},
		{Name: "valid", Text: validByIssuer, Args: []any{micros(now)}},
		{Name: "valid of an issuer", Text: underIssuer, Args: []any{micros(now), afterAll, "i", 100}, Ordered: true},
		{Name: "valid, unsaid", Text: validUnsaid, Args: []any{micros(now)}},
		{Name: "others of a key", Text: othersOfKey, Args: []any{sha256, sha256}},
		{Name: "successor", Text: successorOf, Args: []any{[]byte{1}}},
		{Name: "lost of a user", Text: lostOfUser, Args: []any{user, certs.ReasonKeyCompromise}},
		{Name: "keys that nobody noted", Text: namelessKeys},
		{Name: "of enrolments that ended", Text: endedHolders, Args: []any{micros(now), sha256, 100}, Ordered: true},
		{Name: "offer of a challenge", Text: offerTo, Args: []any{[]byte{1}, micros(now), "t", []byte{2}, sha256}},
		{Name: "sharers of a key", Text: keySharers, Args: []any{sha256}},
		list("all", certs.CertificateFilter{}, true),
		list("page", certs.CertificateFilter{After: sha256}, true),
		list("user", certs.CertificateFilter{UserID: user}, false),
		list("enrolment", certs.CertificateFilter{EnrollmentID: enrollment}, false),
		list("rule", certs.CertificateFilter{Rule: certs.RuleSMIMESigning}, true),
		list("expiring", certs.CertificateFilter{ExpiringBefore: before, Now: now}, false),
	}
}
