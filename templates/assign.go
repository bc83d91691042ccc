package templates

import (
	"slices"
	"strings"

	"sallyport/enroll/directory"
)

// ForUser returns those revisions that are assigned to the user, in the order
// of their names.
func ForUser(revisions []Revision, u directory.User) []Revision {
	var assigned []Revision
	for _, r := range revisions {
		if r.Spec.Assign.Includes(u) {
			assigned = append(assigned, r)
		}
	}
	slices.SortFunc(assigned, func(a, b Revision) int { return strings.Compare(a.Name, b.Name) })
	return assigned
}
