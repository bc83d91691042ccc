package certs

// Organization is the name that our own certificates are made with from now on.
func (a *Authority) Organization() string { return a.organization }

// MadeFor is the name that this authority was made with: that of its first root,
// which is our own also where a corporate CA has taken over, and retired.
func (a *Authority) MadeFor() string { return a.members().organization() }

func (f family) organization() string {
	first := f.firstRoot()
	if first == nil || len(first.Subject.Organization) == 0 {
		return ""
	}
	return first.Subject.Organization[0]
}
