package enroll

import (
	"errors"
	"testing"

	"sallyport/certs"
	"sallyport/internal/refusal"
)

// Those who are listed are those who are counted.
func TestUntoldPhones(t *testing.T) {
	t.Parallel()
	l, phones := newLine(), &untoldPhones{n: 7}
	r := &Rollover{Authority: l, Renewals: phones, Phones: phones, Issued: hanging{}}
	list, err := r.Untold(t.Context(), "I2", "", 5)
	if err != nil || len(list) != 5 || !phones.since.Equal(rootedAt) {
		t.Fatalf("%+v, %v, since %s", list, err, phones.since)
	}
	if rest, err := r.Untold(t.Context(), "i2", list[4].EnrollmentID, 5); err != nil || len(rest) != 2 {
		t.Errorf("next page: %+v, %v", rest, err)
	}
	if list, err := r.Untold(t.Context(), "i1", "", 5); err != nil || len(list) != 0 {
		t.Errorf("every phone knows the first root: %+v, %v", list, err)
	}
	for name, tt := range map[string]struct {
		fingerprint string
		limit       int
		want        error
	}{
		"unknown":  {"xx", 5, certs.ErrNotFound},
		"a root":   {"r2", 5, ErrInvalid},
		"negative": {"i2", -1, ErrInvalid},
		"too many": {"i2", maxUntold + 1, ErrInvalid},
	} {
		_, err := r.Untold(t.Context(), tt.fingerprint, "", tt.limit)
		if all := refusal.All(err); !errors.Is(err, tt.want) || len(all) != 1 || all[0].Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
