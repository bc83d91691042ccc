package enroll

import (
	"context"
	"fmt"
	"strings"

	"sallyport/compliance"
	"sallyport/mdm"
)

// Deployment is how far the newest revision of a mail template has got: on how many
// of the phones that should have it. Each phone counts once.
type Deployment struct {
	Template  string `json:"template"`
	Revision  int    `json:"revision"`
	Phones    int    `json:"phones"`
	Installed int    `json:"installed"`
	Older     int    `json:"older"`   // another revision of it is there, and this one is on its way
	Pending   int    `json:"pending"` // none is there, or nobody has told
	Waiting   int    `json:"waiting"` // none is there, as the mailbox has as many devices as its server takes
	Refused   int    `json:"refused"` // by the phone, when it was last sent
	Unmade    int    `json:"unmade"`  // it cannot be made for the phone's user
}

// Deployments lists those of all templates by name. It looks at every phone.
func (s *Service) Deployments(ctx context.Context) ([]Deployment, error) {
	revisions, err := s.Templates.CurrentRevisions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	list := make([]Deployment, len(revisions))
	byName := make(map[string]*Deployment, len(revisions))
	for i, r := range revisions {
		list[i] = Deployment{Template: r.Name, Revision: r.Number}
		byName[r.Name] = &list[i]
	}
	for after := mdm.EnrollmentID(""); ; {
		subjects, err := s.Subjects(ctx, after, deploymentPage)
		if err != nil {
			return nil, err
		}
		for _, subject := range subjects {
			after = subject.Expected.EnrollmentID
			for _, want := range subject.Expected.Mail {
				if d := byName[want.Name]; d != nil { // it may have come meanwhile
					d.count(want, subject.Report.Profiles)
				}
			}
		}
		if len(subjects) < deploymentPage {
			return list, nil
		}
	}
}

const deploymentPage = 1000

// count judges as compliance does: an acknowledgement is as good as a list of
// profiles that is older than it.
func (d *Deployment) count(want compliance.ExpectedProfile, listed *mdm.ProfileFacts) {
	d.Phones++
	uuid, there := installedAs(want.Identifier, listed)
	acknowledged := !want.AcknowledgedAt.IsZero() && (listed == nil || !listed.At.After(want.AcknowledgedAt))
	switch {
	case want.UUID == "":
		d.Unmade++
	case acknowledged, there && strings.EqualFold(uuid, want.UUID):
		d.Installed++
	case want.Refused != "":
		d.Refused++
	case there:
		d.Older++
	case want.Waits != "":
		d.Waiting++
	default:
		d.Pending++
	}
}

func installedAs(identifier string, listed *mdm.ProfileFacts) (uuid string, there bool) {
	if listed == nil {
		return "", false
	}
	for _, item := range listed.Items {
		if item.Identifier == identifier {
			return item.UUID, true
		}
	}
	return "", false
}
