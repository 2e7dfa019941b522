package conf

// Nearest is the allowed name that takes the fewest edits from what was written, "" if none is near: more than a third
// of its letters would have to change.
func Nearest(got string, allowed []string) string {
	best, fewest := "", max(len([]rune(got)), 3)/3+1
	for _, name := range allowed {
		if d := edits([]rune(got), []rune(name)); d < fewest {
			best, fewest = name, d
		}
	}
	return best
}

// edits is the Levenshtein distance, with a swap of neighbours as one edit (optimal string alignment).
func edits(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
