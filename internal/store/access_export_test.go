package store

import (
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// AccessQueries are those of conditional access that are asked of all people.
func AccessQueries(user directory.UserID, page []directory.UserID, device access.DeviceID, denial string, change int64, now time.Time) []Query {
	var list []Query
	add := func(name string, ordered bool) func(query string, args []any) {
		return func(query string, args []any) {
			list = append(list, Query{Name: name, Text: query, Args: args, Ordered: ordered})
		}
	}
	add("people", true)(peopleAfter(user, len(page)))
	add("some people", false)(scope{list: page}.people())
	for name, s := range map[string]scope{"page": {first: user, last: page[len(page)-1]}, "some": {list: page}, "one": {list: page[:1]}} {
		add("mail clients, "+name, false)(s.clients())
		add("phones, "+name, false)(s.phones(phoneColumns))
		add("certificates, "+name, false)(s.mailCertificates(now))
		list[len(list)-1].Index = "certs_certificates_enrollment"
		add("personal words, "+name, false)(s.personal())
	}
	add("met", false)(metQuery, []any{user, "k50"})
	add("all mail clients", true)(listClients(access.DeviceFilter{After: device}))
	add("quarantined mail clients", true)(listClients(access.DeviceFilter{After: device, Effect: access.Quarantine}))
	add("mail clients of a user", false)(listClients(access.DeviceFilter{User: user}))
	add("denials", true)(listDenials("", denial, 100))
	add("denials of a user", true)(listDenials(user, denial, 100))
	add("changes", true)(changesAfter, []any{change, 100})
	add("snapshot", true)(snapshotChanges, []any{device, 100})
	add("newest words", false)(newestOf([]access.DeviceID{device}))
	add("changes to drop", true)(followedChanges, []any{micros(now), 100})
	add("words that expire", false)(expiringWords, []any{micros(now), micros(now.Add(time.Minute))})
	add("owners", false)(ownersOf([]mdm.EnrollmentID{"e50"}))
	add("certificates that have ended", false)(lapsedCertificates, []any{micros(now), micros(now.Add(time.Minute))})
	add("newest event", false)(newestEvent, nil)
	return list
}
