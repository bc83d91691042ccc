package enroll

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/compliance"
	"sallyport/mdm"
)

// TestDeployments: each phone that should have a template counts once, by what it
// told last.
func TestDeployments(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	holds := func(uuid string) *mdm.ProfileFacts {
		return &mdm.ProfileFacts{At: at, Items: []mdm.ProfileOnFile{{Identifier: "other", UUID: "NEW"}, {Identifier: "mail", UUID: uuid}}}
	}
	want := compliance.ExpectedProfile{Identifier: "mail", UUID: "NEW"}
	acknowledged, refused, unmade := want, want, want
	acknowledged.AcknowledgedAt = at.Add(time.Second)
	refused.Refused = "no"
	unmade.UUID = ""
	late := acknowledged
	late.AcknowledgedAt = at.Add(-time.Second) // the list is newer
	tests := []struct {
		name   string
		want   compliance.ExpectedProfile
		listed *mdm.ProfileFacts
		counts Deployment
	}{
		{"nobody has told", want, nil, Deployment{Pending: 1}},
		{"there", want, holds("new"), Deployment{Installed: 1}},
		{"another revision", want, holds("OLD"), Deployment{Older: 1}},
		{"not there", want, &mdm.ProfileFacts{At: at}, Deployment{Pending: 1}},
		{"acknowledged since", acknowledged, holds("OLD"), Deployment{Installed: 1}},
		{"acknowledged, no list", acknowledged, nil, Deployment{Installed: 1}},
		{"removed since", late, &mdm.ProfileFacts{At: at}, Deployment{Pending: 1}},
		{"refused", refused, holds("OLD"), Deployment{Refused: 1}},
		{"refused, but there", refused, holds("NEW"), Deployment{Installed: 1}},
		{"cannot be made", unmade, holds("OLD"), Deployment{Unmade: 1}},
	}
	for _, tt := range tests {
		var d Deployment
		d.count(tt.want, tt.listed)
		tt.counts.Phones = 1
		if diff := cmp.Diff(tt.counts, d); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}

	h := newHouse(t)
	ready, begun := h.newPhone(t, h.alice.UPN, udidA, 0), h.newPhone(t, h.bob.UPN, udidB, 1)
	ready.join(t)
	ready.connect(t)
	begun.join(t)
	got, err := h.enroll.Deployments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name, number := h.revisions[0].Name, h.revisions[0].Number
	if diff := cmp.Diff([]Deployment{{Template: name, Revision: number, Phones: 2, Installed: 1, Pending: 1}}, got); diff != "" {
		t.Error(diff)
	}
}
