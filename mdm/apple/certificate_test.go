package apple

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"sallyport/internal/bounded"
)

// TestClientCertificate: a certificate that was shown for the connection proves
// as much as a signature, is checked as much, and never contradicts one.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	body := encode(t, map[string]any{"Status": "Idle", "UDID": udid})
	next := noon.AddDate(1, 0, 0)
	good, other := d.phone, d.issue(t, "phone", next, x509.ExtKeyUsageClientAuth)
	signature := sign(t, body, good)
	tests := []struct {
		name        string
		body        []byte
		signature   string
		certificate *x509.Certificate
		want        error
	}{
		{"alone", body, "", good.Certificate, nil},
		{"with a signature by it", body, signature, good.Certificate, nil},
		{"with a signature by another", body, sign(t, body, other), good.Certificate, ErrUnauthenticated},
		{"another, with a signature by the phone's", body, signature, other.Certificate, ErrUnauthenticated},
		{"with a signature that is none", body, "aGVsbG8=", good.Certificate, ErrUnauthenticated},
		{"with a signature of another body", append(slices.Clone(body), ' '), signature, good.Certificate, ErrUnauthenticated},
		{"another authority of the same name", body, "", newDesk(t).phone.Certificate, ErrUnauthenticated},
		{"expired", body, "", d.issue(t, "phone", noon.Add(-1), x509.ExtKeyUsageClientAuth).Certificate, ErrUnauthenticated},
		{"not for clients", body, "", d.issue(t, "phone", next, x509.ExtKeyUsageServerAuth).Certificate, ErrUnauthenticated},
		{"the authority's own", body, "", d.root, ErrUnknownIdentity},
		{"ours, but unknown", body, "", other.Certificate, ErrUnknownIdentity},
		{"body beyond its limit", make([]byte, bounded.MaxPlist+1), "", good.Certificate, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Handle(context.Background(), Request{Body: tt.body, Signature: tt.signature, Certificate: tt.certificate})
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != nil && !Refused(err) {
				t.Errorf("%v would be answered 503", err)
			}
		})
	}
}
