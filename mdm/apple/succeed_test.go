package apple

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"sallyport/mdm"
)

// TestFirstUse: a new identity takes the place of the one before with the first
// message that is answered, and not with one that is refused.
func TestFirstUse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		dict  map[string]any
		state mdm.EnrollmentState
		calls string
		want  error
	}{
		{"TokenUpdate", map[string]any{"MessageType": "TokenUpdate", "Topic": "t", "UDID": udid, "Token": []byte{1}, "PushMagic": "m"}, mdm.Configured, "Succeed E1, TokenUpdate m", nil},
		{"CheckOut", map[string]any{"MessageType": "CheckOut", "Topic": "t", "UDID": udid}, mdm.Enrolled, "Succeed E1, CheckOut", nil},
		{"CheckOut after the end", map[string]any{"MessageType": "CheckOut", "Topic": "t", "UDID": udid}, mdm.CheckedOut, "CheckOut", nil},
		{"poll", map[string]any{"Status": "Idle", "UDID": udid}, mdm.Enrolled, "Next Idle as phone:E1", nil}, // Next does it
		{"another topic", map[string]any{"MessageType": "CheckOut", "Topic": "u", "UDID": udid}, mdm.Enrolled, "", ErrMalformed},
		{"another phone", map[string]any{"MessageType": "CheckOut", "Topic": "t", "UDID": strings.Repeat("0", 40)}, mdm.Enrolled, "", ErrUnauthenticated},
		{"malformed", map[string]any{"MessageType": "TokenUpdate", "Topic": "t", "UDID": udid}, mdm.Enrolled, "", ErrMalformed},
		{"unsupported", map[string]any{"MessageType": "GetToken", "Topic": "t", "UDID": udid}, mdm.Enrolled, "", ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.up.enrollment.State = test.state
			d.phone = d.issue(t, "phone", noon.AddDate(1, 0, 0), x509.ExtKeyUsageClientAuth)
			sum := sha256.Sum256(d.phone.Certificate.Raw)
			d.up.successor = hex.EncodeToString(sum[:])
			if _, err := d.send(t, test.dict); !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if got := strings.Join(d.up.calls, ", "); got != test.calls {
				t.Errorf("got calls %q, want %q", got, test.calls)
			}
		})
	}
}
