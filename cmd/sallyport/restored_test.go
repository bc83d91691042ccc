package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sallyport/enroll"
	"sallyport/internal/store"
)

// A restore names whom to invite anew, but not a whole company; and it says
// nothing of what there was none of.
func TestRestorationNamesSome(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "", 20: "revoked: 20, ", 21: "and 1 more: sallyport invitation list --data d\n"} {
		var out, hints bytes.Buffer
		var told store.Restoration
		for i := range n {
			told.Invitations = append(told.Invitations, enroll.Invitation{UPN: fmt.Sprintf("user%d@example.test", i), Ownership: "personal"})
		}
		if err := printRestoration(&program{stdout: &out, stderr: &hints}, "d", told); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "@example.test"); got != min(n, 20) {
			t.Errorf("%d invitations: %d are named", n, got)
		}
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), " more: ") != (n > 20) || (hints.Len() == 0) != (n == 0) {
			t.Errorf("%d invitations:\n%s%s", n, &out, &hints)
		}
	}
}
