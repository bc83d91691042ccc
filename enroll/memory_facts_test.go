package enroll

import (
	"context"
	"maps"
	"slices"

	"sallyport/mdm"
)

var _ FactStore = (*memory)(nil)

// active are the active enrolments after the cursor.
func (m *memory) active(after mdm.EnrollmentID, limit int) (ids []mdm.EnrollmentID) {
	defer m.lock()()
	for _, id := range slices.Sorted(maps.Keys(m.enrollments)) {
		if id > after && m.enrollments[id].State.Active() && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids
}

// Facts follows the contract by reading one enrolment after the other.
func (m *memory) Facts(ctx context.Context, after mdm.EnrollmentID, limit int) ([]Fact, error) {
	var facts []Fact
	for _, id := range m.active(after, limit) {
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
