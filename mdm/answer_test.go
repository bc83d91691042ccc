package mdm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/mdm"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	chain := []mdm.ErrorItem{{Code: 1, Domain: "Outer", Description: "Failed"}, {Code: 4001, Domain: "Inner", Description: "nul \x00"}}
	kept := []mdm.ErrorItem{chain[0], {Code: 4001, Domain: "Inner", Description: "nul \ufffd"}}
	tests := []struct {
		contact mdm.Contact
		want    mdm.Answer
		is      bool
	}{
		{mdm.Contact{Status: mdm.StatusAcknowledged}, mdm.Answer{State: mdm.Acknowledged}, true},
		{mdm.Contact{Status: mdm.StatusNotNow, Errors: chain}, mdm.Answer{State: mdm.NotNow}, true},
		{mdm.Contact{Status: mdm.StatusError, Errors: chain}, mdm.Answer{State: mdm.Failed, Error: "nul \ufffd (Inner 4001)", Chain: kept}, true},
		{mdm.Contact{Status: mdm.StatusFormatError}, mdm.Answer{State: mdm.Failed, Error: "CommandFormatError"}, true},
		{mdm.Contact{Status: mdm.StatusIdle}, mdm.Answer{}, false},
		{mdm.Contact{Status: "Nonsense"}, mdm.Answer{}, false},
	}
	for _, tt := range tests {
		got, err := tt.contact.Answer()
		if diff := cmp.Diff(got, tt.want); diff != "" || (err == nil) != tt.is {
			t.Errorf("%s: %v, got -, want +:\n%s", tt.contact.Status, err, diff)
		}
	}
	if chain[1].Description != "nul \x00" {
		t.Error("the phone's own words were changed")
	}
	long, err := mdm.Contact{Status: mdm.StatusError, Errors: slices.Repeat([]mdm.ErrorItem{{Description: strings.Repeat("é", 1<<15)}}, 100)}.Answer()
	if err != nil || len(long.Error) > 3000 || len(long.Chain) > 50 || len(long.Chain[0].Description) > 3000 {
		t.Errorf("%v, a phone's words take %d bytes and %d links", err, len(long.Error), len(long.Chain))
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	open := []mdm.CommandState{mdm.Sent, mdm.NotNow, mdm.Superseded}
	for _, from := range append(open, mdm.Acknowledged, mdm.Failed) {
		for _, to := range []mdm.CommandState{mdm.Acknowledged, mdm.Failed, mdm.NotNow} {
			if got, want := (mdm.Command{State: from}).Takes(to), slices.Contains(open, from) && from != to; got != want {
				t.Errorf("%s to %s: got %v", from, to, got)
			}
		}
	}
}
