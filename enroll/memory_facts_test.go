package enroll

import (
	"context"
	"slices"

	"sallyport/mdm"
)

var _ FactStore = (*memory)(nil)

// Facts follows the contract by reading one enrolment after the other.
func (m *memory) Facts(ctx context.Context, after mdm.EnrollmentID, limit int) ([]Fact, error) {
	ids, err := m.ActiveEnrollments(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	var facts []Fact
	for _, id := range ids {
		have, err := m.LoadPlan(ctx, id)
		if err != nil {
			return nil, err
		}
		have.Commands = slices.DeleteFunc(have.Commands, func(c mdm.Command) bool { return c.RequestType != installProfile })
		have.Actions = nil
		cert, _ := m.Lookup(ctx, have.Enrollment.CertificateHash) // one that is not there is the zero one
		facts = append(facts, Fact{Have: have, Certificate: cert})
	}
	return facts, nil
}
