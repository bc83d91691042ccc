package templates

import (
	"testing"

	"sallyport/enroll/directory"
)

// TestCertificateIsOnesOwn: case does not count in a name, and a long s is no s.
func TestCertificateIsOnesOwn(t *testing.T) {
	t.Parallel()
	u := directory.User{UPN: "boss@example.test"}
	for held, want := range map[string]bool{"BOSS@example.test": true, "bo\u017fs@example.test": false, "alice@example.test": false} {
		s := Secret{Name: "p12", Kind: SecretPKCS12, UPNs: []string{held}}
		if e := s.belongsTo(u, ErrInvalid, "identity", u.UPN); (e == nil) != want {
			t.Errorf("%q: got %v", held, e)
		}
	}
}
