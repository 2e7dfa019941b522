package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"embergate/drivers"
)

// TestTheCourseOfAMinuteIsGuessed (RU13): of a minute its least, greatest and last value are known. The last is the last;
// what had no value goes where it goes on from, and nothing is made of a minute of which nothing is known.
func TestTheCourseOfAMinuteIsGuessed(t *testing.T) {
	const begin = 60_000_000 * ticksPerMinute
	value := func(v float64) *Said {
		return &Said{Until: fromTicks(begin), Value: v, Quality: drivers.Good}
	}
	offline := uint8(codeBad + 3)
	for _, test := range []struct {
		name   string
		before *Said
		minute minute
		want   string
	}{
		{"nothing moved", value(5), minute{good: 600, min: 5, max: 5, last: 5}, "0-600 5"},
		{"a pulse within", value(0), minute{good: 600, min: 0, max: 1, last: 0}, "0-300 1, 300-600 0"},
		{"it rose", value(0), minute{good: 600, min: 0, max: 1, last: 1}, "0-300 0, 300-600 1"},
		{"it was lower, higher, and between", value(2), minute{good: 600, min: 1, max: 9, last: 4}, "0-200 1, 200-400 9, 400-600 4"},
		{"it was higher, lower, and between", value(8), minute{good: 600, min: 1, max: 9, last: 4}, "0-200 9, 200-400 1, 400-600 4"},
		{"it was lost towards the end", value(5), minute{good: 400, bad: 200, code: offline, min: 5, max: 5, last: 5}, "0-400 5, 400-600 bad " + string(reasonOf(offline))},
		{"it came back", &Said{Until: fromTicks(begin)}, minute{good: 400, bad: 200, code: offline, min: 5, max: 5, last: 5}, "0-200 bad " + string(reasonOf(offline)) + ", 200-600 5"},
		{"the gateway started within", nil, minute{good: 400, min: 5, max: 5, last: 5}, "200-600 5"},
		{"nothing is known", value(5), minute{}, ""},
	} {
		p := &Past{names: map[int64]string{1: "a.b"}, held: map[int64]Said{}}
		if test.before != nil {
			p.held[1] = *test.before
		}
		var got []string
		for _, s := range p.minute(1, begin, &test.minute) {
			what := fmt.Sprint(s.Value)
			if s.Quality == drivers.Bad {
				what = "bad " + string(s.Reason)
			}
			got = append(got, fmt.Sprintf("%d-%d %s", ticks(s.From)-begin, ticks(s.Until)-begin, what))
		}
		if text := strings.Join(got, ", "); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}

func TestThereIsNoPastWhereThereIsNoFile(t *testing.T) {
	if _, err := OpenPast(t.Context(), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
