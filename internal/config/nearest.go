package config

import "strings"

// nearest returns the known word that word was most likely meant to be, by edit
// distance: where one holds the other, or at most a third of the letters are
// wrong. A guess that is far off is worse than none: empty.
func nearest(word string, known []string) string {
	best, bestDistance := "", len(word)+1
	for _, candidate := range known {
		d := distance(word, candidate)
		near := d <= max(len(word), len(candidate))/3 ||
			min(len(word), len(candidate)) >= 4 && (strings.Contains(candidate, word) || strings.Contains(word, candidate))
		if near && d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range to {
			cost := diagonal
			if r != s {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
