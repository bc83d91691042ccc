package store

// ResealBatch bounds a transaction.
const ResealBatch = resealBatch

// SealedColumn is one column of the list that a rotation goes through.
type SealedColumn struct {
	Table, Name string
	Key         []string
	Place       string
}

// SealedColumns are all of them.
func SealedColumns() []SealedColumn {
	var all []SealedColumn
	for _, c := range sealedColumns() {
		all = append(all, SealedColumn{c.table, c.name(), c.key, c.place})
	}
	return all
}
