package store

import "testing"

func TestUnnamed(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`begin immediate`:                    `begin immediate`,
		`a = $1 AND b IN ($2, $3)`:           `a = ? AND b IN (?, ?)`,
		`$1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11`: `? ? ? ? ? ? ? ? ? ? ?`,
		`a = '$1' AND b = $1`:                `a = '$1' AND b = ?`,
		`a = 'it''s $2' AND b = $1`:          `a = 'it''s $2' AND b = ?`,
		`a = $2 AND b = $1`:                  `a = $2 AND b = $1`,
		`a = $1 OR $1 = 0`:                   `a = $1 OR $1 = 0`,
		`a = $1 AND b = $10`:                 `a = $1 AND b = $10`,
		`a = $10`:                            `a = $10`,
	} {
		if got := unnamed(query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}
