package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/internal/web"
	"sallyport/mdm"
)

const (
	pageRows   = 50   // a page ends with the person whose row is at least this one
	scanPeople = 500  // are read at a time by a search
	scanMost   = 4000 // are read for one page of a search

	maxSearch = 100 // characters
	maxCursor = 64  // bytes
)

// filter is what is asked for; the zero filter is everything.
type filter struct {
	search   string
	decision access.Effect
	verdict  compliance.State
	after    directory.UserID
}

func (f filter) any() bool { return f.search != "" || f.decision != "" || f.verdict != "" }

// address is that of the page after the cursor.
func (f filter) address(after directory.UserID) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": f.search, "decision": string(f.decision), "verdict": string(f.verdict), "after": string(after)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return firstPage
	}
	return firstPage + "?" + q.Encode()
}

func filterOf(r *http.Request) (filter, error) {
	values, err := wire.Query(r, "q", "decision", "verdict", "after")
	if err != nil {
		return filter{}, err
	}
	f := filter{strings.TrimSpace(values["q"]), access.Effect(values["decision"]), compliance.State(values["verdict"]), directory.UserID(values["after"])}
	var faults refusal.List
	refuse := func(field, reason, remedy string) {
		faults = append(faults, refusal.New(problem.ErrMalformed, field, reason, remedy))
	}
	if !utf8.ValidString(f.search) || utf8.RuneCountInString(f.search) > maxSearch {
		refuse("q", "is no text of at most 100 characters", "look for less")
	}
	switch f.decision {
	case "", access.Allow, access.Quarantine, access.Block:
	default:
		refuse("decision", "is none of allow, quarantine and block", "use one of them")
	}
	switch f.verdict {
	case "", compliance.Compliant, compliance.InGrace, compliance.NotCompliant, compliance.NotEvaluated, compliance.Unknown:
	default:
		refuse("verdict", "no such compliance state", "use compliant, in_grace, not_compliant, not_evaluated or unknown")
	}
	if len(f.after) > maxCursor || !utf8.ValidString(string(f.after)) {
		refuse("after", "is no cursor", "go on from the first page")
	}
	return f, faults.OrNil()
}

// found is what a filter leads to.
type found struct {
	rows   []access.ReportRow
	next   directory.UserID
	looked int // people, where the search was broken off
}

// Devices answers GET /console/devices.
func (c *Console) Devices(w http.ResponseWriter, r *http.Request) error {
	f, err := filterOf(r)
	if err != nil {
		return err
	}
	list, err := c.find(r.Context(), f)
	if err != nil {
		return err
	}
	view := web.ConsoleDevices{Search: f.search, Decision: string(f.decision), Verdict: string(f.verdict), Looked: list.looked}
	if list.next != "" {
		view.Next = f.address(list.next)
	}
	if f.after != "" {
		view.Start = f.address("")
	}
	if view.Rows, err = c.rows(r.Context(), list.rows); err != nil {
		return err
	}
	body, err := c.d.Pages.ConsoleDevices(language(r), c.frame(r, "devices"), view)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, body)
}

// find returns one page. Whole logins and DeviceIds are looked up; for anything
// else the list is read, of a large one a part at a time.
func (c *Console) find(ctx context.Context, f filter) (found, error) {
	if f.search != "" && f.after == "" {
		people, err := c.named(ctx, f.search)
		if err != nil || len(people) > 0 {
			return c.of(ctx, f, people, err)
		}
	}
	step := pageRows
	if f.any() {
		step = scanPeople
	}
	var list found
	after := f.after
	for looked := 0; ; {
		rows, next, err := c.d.Fleet.Rows(ctx, after, step)
		if err != nil {
			return found{}, err
		}
		if list.add(rows, f.matches) {
			return list, nil
		}
		looked += step
		list.next, after = next, next
		if next == "" {
			return list, nil
		}
		if looked >= scanMost {
			list.looked = looked
			return list, nil
		}
	}
}

// add takes the rows that match, until the page is full: then next is the last
// person on it, if others follow.
func (l *found) add(rows []access.ReportRow, matches func(access.ReportRow) bool) (full bool) {
	for i, row := range rows {
		if matches(row) {
			l.rows = append(l.rows, row)
		}
		if len(l.rows) >= pageRows && (i+1 == len(rows) || rows[i+1].Person.ID != row.Person.ID) {
			l.next = row.Person.ID
			return true
		}
	}
	return false
}

// of is the whole answer for some people.
func (c *Console) of(ctx context.Context, f filter, people []directory.UserID, err error) (found, error) {
	if err != nil {
		return found{}, err
	}
	rows, err := c.d.Fleet.RowsOf(ctx, people)
	if err != nil {
		return found{}, err
	}
	f.search = ""
	return found{rows: slices.DeleteFunc(rows, func(row access.ReportRow) bool { return !f.matches(row) })}, nil
}

// named are the people whose login that is, or whose phone has reported that DeviceId.
func (c *Console) named(ctx context.Context, text string) ([]directory.UserID, error) {
	people, err := c.d.Logins.Named(ctx, text)
	if err != nil || len(people) > 0 {
		return people, err
	}
	phones, err := c.d.Phones.ListDevices(ctx, enroll.DeviceFilter{EASDeviceID: text, Limit: pageRows})
	if err != nil {
		return nil, err
	}
	for _, phone := range phones {
		if id := phone.Enrollment.UserID; phone.UPN != "" && !slices.Contains(people, id) {
			people = append(people, id)
		}
	}
	return people, nil
}

func (f filter) matches(row access.ReportRow) bool {
	if f.decision != "" && row.Device.Effect != f.decision {
		return false
	}
	if f.verdict != "" && verdictOf(row.Phone) != f.verdict {
		return false
	}
	if f.search == "" {
		return true
	}
	needle := strings.ToLower(f.search)
	d, p := row.Device, row.Phone
	texts := append([]string{row.Person.UPN, d.Type, d.Model, d.OS, p.Product, p.OSVersion, string(d.Key)}, d.Spellings...)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), needle) })
}

// verdictOf is what a list shows of a phone: nothing where there is none.
func verdictOf(p access.Phone) compliance.State {
	if p.EnrollmentID == "" {
		return ""
	}
	return cmp.Or(p.Verdict.State, compliance.NotEvaluated)
}

// rows adds to each row what is decided now, and what the phone says of itself. The
// phones of one person are read once.
func (c *Console) rows(ctx context.Context, list []access.ReportRow) ([]web.ConsoleRow, error) {
	known := map[string][]enroll.DeviceRow{}
	views := make([]web.ConsoleRow, len(list))
	for i, row := range list {
		var phone enroll.DeviceRow
		if row.Phone.EnrollmentID != "" {
			upn := row.Person.UPN
			if _, read := known[upn]; !read {
				phones, err := c.d.Phones.ListDevices(ctx, enroll.DeviceFilter{UPN: upn})
				if err != nil {
					return nil, err
				}
				known[upn] = phones
			}
			phone = phoneOf(known[upn], row.Phone.EnrollmentID)
		}
		view, err := c.row(ctx, row, phone)
		if err != nil {
			return nil, err
		}
		views[i] = view
	}
	return views, nil
}

// phoneOf is the phone whose newest enrolment that is; the zero row where it is none's.
func phoneOf(phones []enroll.DeviceRow, id mdm.EnrollmentID) enroll.DeviceRow {
	if i := slices.IndexFunc(phones, func(row enroll.DeviceRow) bool { return row.Enrollment.ID == id }); i >= 0 {
		return phones[i]
	}
	return enroll.DeviceRow{}
}

func (c *Console) row(ctx context.Context, row access.ReportRow, phone enroll.DeviceRow) (web.ConsoleRow, error) {
	d, p := row.Device, row.Phone
	view := web.ConsoleRow{
		User: row.Person.UPN, Name: nameOf(phone), Model: kindOf(cmp.Or(modelOf(phone), d.Model, d.Type), p.Product),
		System: cmp.Or(p.OSVersion, d.OS), Ownership: string(p.Ownership),
		Verdict: string(verdictOf(p)), VerdictSince: p.Verdict.Since, MailAt: d.LastAt, PhoneAt: phone.Enrollment.LastSeenAt,
	}
	if phone.Device.ID != "" {
		view.Address = addressOf(string(phone.Device.ID))
	}
	if d.ID == "" {
		return view, nil
	}
	view.Address = addressOf(string(d.ID))
	answer, err := c.d.Explains.Question(ctx, clientOf(row.Person.UPN, d))
	if err != nil {
		return view, err
	}
	view.Decision, view.Step = string(answer.Decision.Effect), string(answer.Decision.Step)
	if len(answer.Decision.Reasons) > 0 && answer.Decision.Effect != access.Allow {
		view.Fact = answer.Decision.Reasons[0].Fact
	}
	if d.Effect == answer.Decision.Effect {
		view.DecisionSince = d.SinceAt
	}
	return view, nil
}

// kindOf is what a device is: an iPhone, and which.
func kindOf(model, product string) string {
	if model != "" && product != "" && model != product {
		return model + " (" + product + ")"
	}
	return cmp.Or(model, product)
}

func addressOf(id string) string { return firstPage + "/" + url.PathEscape(id) }

// clientOf is the question that a gate would ask about a device on record.
func clientOf(upn string, d access.Device) access.Client {
	return access.Client{User: upn, DeviceID: spelling(d)}
}

// spelling is the DeviceId as its client wrote it first.
func spelling(d access.Device) string {
	if len(d.Spellings) > 0 {
		return d.Spellings[0]
	}
	return string(d.Key)
}

// nameOf is what a phone is called: by its owner, who may have changed it since it enrolled.
func nameOf(phone enroll.DeviceRow) string {
	if facts := phone.Report.Device; facts != nil && facts.Name != "" {
		return facts.Name
	}
	return phone.Device.Name
}

func modelOf(phone enroll.DeviceRow) string {
	if facts := phone.Report.Device; facts != nil && facts.Model != "" {
		return facts.Model
	}
	return phone.Device.Model
}
