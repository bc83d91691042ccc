package enroll

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/logkey"
	"sallyport/mdm"
)

// Google does not tell of every phone that has gone: of one that was deleted there
// by hand nothing comes, and what does come may be lost. Its list of devices says
// who is there, "deleted devices are not returned" (enterprises.devices.list), and
// to ask for a deleted one is answered with 404. To end an enrolment shuts a
// mailbox, so that neither a single answer nor any error does it: it ends when two
// complete lists in a row, at least listsApart from each other, lack the phone,
// each time Google says 404 when it is asked for the phone itself, and not most
// of all phones have gone at once.
const (
	listsApart = 30 * time.Minute
	fewMissing = 10 // as many may go at once, whatever part of all they are
	livePage   = 500
)

// listing is a list of Google's devices that is under way.
type listing struct {
	page  string
	began time.Time
	names map[string]bool
}

// compare notes which phones on record a complete list lacks, and ends the
// enrolments of those that are surely gone.
func (a *Androids) compare(ctx context.Context, api AndroidAPI, l listing) error {
	var missing []AndroidPhone
	live := 0
	for after := mdm.EnrollmentID(""); ; {
		page, err := a.Lists.LivePhones(ctx, after, livePage)
		if err != nil {
			return fmt.Errorf("list phones on record: %w", err)
		}
		for _, p := range page {
			after = p.EnrollmentID
			if live++; !l.names[p.Name] {
				missing = append(missing, p)
			} else if err := a.found(ctx, p); err != nil {
				return err
			}
		}
		if len(page) < livePage {
			break
		}
	}
	most := len(missing) > fewMissing && 2*len(missing) > live
	if most {
		a.log().ErrorContext(ctx, "Google's list lacks most phones: no enrolment is ended for that", "missing", len(missing), "on_record", live)
	}
	for _, p := range missing {
		if err := a.missing(ctx, api, p, l.began, most); err != nil {
			return err
		}
	}
	return nil
}

// found takes back that a phone is missing.
func (a *Androids) found(ctx context.Context, p AndroidPhone) error {
	if p.MissingSince.IsZero() {
		return nil
	}
	if err := a.Lists.SaveMissing(ctx, p.EnrollmentID, time.Time{}); err != nil {
		return fmt.Errorf("note that phone of enrolment %s is listed again: %w", p.EnrollmentID, err)
	}
	return nil
}

// missing looks at a phone that a list lacks which began at that moment.
func (a *Androids) missing(ctx context.Context, api AndroidAPI, p AndroidPhone, began time.Time, most bool) error {
	e, err := a.Service.Enrollments.EnrollmentByID(ctx, p.EnrollmentID)
	if err != nil {
		return fmt.Errorf("look up enrolment of android phone: %w", err)
	}
	if !e.CreatedAt.Before(began) || !p.ReportedAt.Before(began) { // it came while the list was read
		return nil
	}
	told, err := api.Device(ctx, p.Name)
	switch {
	case err == nil && told.Deleted:
		return a.ended(ctx, e)
	case err == nil:
		return a.found(ctx, p)
	case !gone(err):
		return fmt.Errorf("ask for a device that the list lacks: %w", err)
	case p.MissingSince.IsZero():
		if err := a.Lists.SaveMissing(ctx, p.EnrollmentID, began); err != nil {
			return fmt.Errorf("note that phone of enrolment %s is missing: %w", p.EnrollmentID, err)
		}
		a.log().WarnContext(ctx, "Google does not know a phone any more", logkey.Enrollment, p.EnrollmentID)
		return nil
	case most || began.Sub(p.MissingSince) < listsApart:
		return nil
	}
	return a.ended(ctx, e, "reason", "Google does not know the phone any more, in two lists in a row")
}

// missingFinding says that Google lacks phones that are on record.
func missingFinding(n int) AndroidFinding {
	return AndroidFinding{
		Name: "devices", Text: fmt.Sprintf("Google does not know %d phones any more that are on record here", n),
		Next: "device show says which they are; they were deleted at Google, or their work profiles were removed. The enrolment of each ends when the next list lacks it, too, unless most phones are missing: see that the enterprise is still there then. To manage such a phone again, invite its user anew",
	}
}
