package enroll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/certs"
	"sallyport/mdm"
)

// unreachable says why the phone of an active enrolment can be told nothing any
// more; empty where it can.
func (s *Service) unreachable(ctx context.Context, e mdm.Enrollment) (string, error) {
	if !e.State.Active() {
		return "", nil
	}
	cert, err := s.Certificates.Lookup(ctx, e.CertificateHash)
	if errors.Is(err, certs.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up identity of enrolment %s: %w", e.ID, err)
	}
	const end = ": the server refuses the phone, which cannot be reached until it enrols again"
	switch {
	case !cert.RevokedAt.IsZero():
		return "its identity certificate was revoked" + end, nil
	case !s.now().Before(cert.NotAfter):
		return "its identity certificate expired on " + cert.NotAfter.UTC().Format(time.DateOnly) + end, nil
	}
	return "", nil
}

// Capabilities says what each act would do to a device now. Of one that cannot be
// reached only our own label remains; besides, its end can be forced.
func (s *Service) Capabilities(ctx context.Context, row DeviceRow) ([]mdm.Capability, error) {
	all := mdm.Capabilities(row.Enrollment.Target(row.Report))
	lost, err := s.unreachable(ctx, row.Enrollment)
	if lost == "" || err != nil {
		return all, err
	}
	for i, c := range all {
		switch c.Kind {
		case mdm.ActionRename:
			all[i] = mdm.Capability{Kind: c.Kind, Possible: true, Effect: "its label here changes; its own name stays"}
		case mdm.ActionRetire:
			all[i] = mdm.Capability{Kind: c.Kind, Reason: lost + "; sallyport device retire --force ends the enrolment without it"}
		default:
			all[i] = mdm.Capability{Kind: c.Kind, Reason: lost}
		}
	}
	return all, nil
}
