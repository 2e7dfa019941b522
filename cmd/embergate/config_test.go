package main

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Row OP12: what going back changes is told whole: without what goes, and with what comes, one text is the other.
func TestWhatGoingBackChangesIsToldWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 1, 12)
		from, to := text.Draw(t, "from"), text.Draw(t, "to")
		var gone, come []string
		for _, line := range differ(strings.Join(from, "\n"), strings.Join(to, "\n")) {
			switch line[0] {
			case '-':
				gone = append(gone, line[1:])
			case '+':
				come = append(come, line[1:])
			}
		}
		left, kept := slices.Clone(from), slices.Clone(to)
		for _, line := range gone {
			left = slices.Delete(left, slices.Index(left, line), slices.Index(left, line)+1)
		}
		for _, line := range come {
			kept = slices.Delete(kept, slices.Index(kept, line), slices.Index(kept, line)+1)
		}
		slices.Sort(left)
		slices.Sort(kept)
		if !slices.Equal(left, kept) {
			t.Errorf("from %q to %q: %q go, %q come", from, to, gone, come)
		}
	})
}
