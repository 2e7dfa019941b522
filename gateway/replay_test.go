package gateway

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/store"
)

const replayHome = `
site: {id: home, name: home, language: en}
data: %s
zones: [{id: kitchen, name: Kitchen}]
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: gas, zone: kitchen, every: 5s, signals: [{id: lel, kind: gas_lel}]}
      - {id: smoke, zone: kitchen, every: 5s, signals: [{id: smoke, kind: smoke}]}
rules: {packs: [fire, gas, comms]%s}
`

// replayed is a configuration of the replay home, with more in its rules.
func replayed(t *testing.T, dir, more string) *Gateway {
	t.Helper()
	root := conf.Parse("home.yaml", fmt.Appendf(nil, replayHome, dir, more), conf.OS())
	g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": newScript().protocol}, Log: slog.New(slog.DiscardHandler)})
	if err != nil || root.Problems() != nil {
		t.Fatal(err, root.Problems())
	}
	return g
}

// lives lets a gateway run in a data directory for some minutes, from a time on: each device is read every five seconds,
// and says what says says of the seconds passed; NaN is no answer.
func lives(t *testing.T, dir string, from time.Time, minutes int, says func(s int) (lel, smoke float64)) time.Time {
	t.Helper()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	h, err := newHub(t.Context(), replayed(t, dir, ""), st)
	if err != nil {
		t.Fatal(err)
	}
	h.take(from, drivers.LinkUp("bus", from))
	now := from
	for s := range minutes * 60 {
		now = from.Add(time.Duration(s) * time.Second)
		if s%5 == 0 {
			lel, smoke := says(s)
			for signal, v := range map[string]float64{"gas.lel": lel, "smoke.smoke": smoke} {
				if v == v {
					h.take(now, []drivers.Reading{{Signal: signal, Time: now, Value: v, Quality: drivers.Good}})
				}
			}
		}
		h.tick(now)
		if s%300 == 299 {
			if err := st.History().Keep(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := st.History().Keep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	return now
}

// lived fills a data directory: an evening with a leak, a puff of smoke and a detector that falls silent, of which a day
// later only the minutes are left, and then a short leak. It answers when that was, and when all was over.
func lived(t *testing.T, dir string) (evening, next, end time.Time) {
	nothing := func(s, from, until int) float64 {
		if s >= from && s < until {
			var zero float64
			return zero / zero
		}
		return 0
	}
	evening = time.Now().Truncate(time.Hour).Add(2*time.Hour + 50*time.Minute)
	lives(t, dir, evening, 11, func(s int) (float64, float64) { // until the hour is over, so that its minutes are kept
		lel := 1.0
		switch {
		case s >= 60 && s < 120:
			lel = 12
		case s >= 120 && s < 150:
			lel = 60
		}
		smoke := nothing(s, 300, 420)
		if s >= 200 && s < 210 {
			smoke = 1
		}
		return lel, smoke
	})
	next = evening.Add(26 * time.Hour)
	end = lives(t, dir, next, 4, func(s int) (float64, float64) {
		if s >= 120 && s < 150 {
			return 15, 0
		}
		return 2, 0
	})
	return evening, next, end
}

// story is what a replay found, a line each.
func (r *Replay) story(start time.Time) string {
	var lines []string
	for _, e := range r.Events {
		line := fmt.Sprintf("%s %s %s@%s", e.Time.Sub(start).Round(time.Second), e.What, e.Rule, e.Source)
		if e.Rough {
			line = "~" + line
		}
		if e.Journal == nil {
			line += " not in the journal"
		}
		lines = append(lines, line)
	}
	for _, e := range r.Unlike {
		lines = append(lines, fmt.Sprintf("%s %s %s@%s in the journal alone", e.Time.Sub(start).Round(time.Second), e.What, e.Rule, e.Source))
	}
	return strings.Join(lines, "\n")
}

// TestHistoryIsReplayedThroughTheRules (RU13): the rules that ran then do the same again, to the second where every change
// is known and to a minute or two where only minutes are; each is found in the journal. Nothing on disk is changed, beside
// a daemon that has the directory open. A changed rule shows what it would have done instead.
func TestHistoryIsReplayedThroughTheRules(t *testing.T) {
	dir := t.TempDir()
	evening, next, end := lived(t, dir)
	running, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	before := contents(t, dir)
	r, err := replayed(t, dir, "").ReplayRules(t.Context(), Span{Since: "30h"}, end)
	if err != nil {
		t.Fatal(err)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("the directory has changed:\n%s\n%s", before, after)
	}
	var rules []string
	for _, c := range r.Rules {
		rules = append(rules, fmt.Sprintf("%s %d %d", c.Rule, c.Would, c.Did))
	}
	if got := strings.Join(rules, ", "); got != "device-lost 1 1, gas-high 1 1, gas-low 2 2, smoke 1 1" {
		t.Errorf("%s\n%s", got, r.story(evening))
	}
	if len(r.Unlike) > 0 || slices.ContainsFunc(r.Events, func(e ReplayEvent) bool { return e.Journal == nil }) {
		t.Errorf("not all is in both:\n%s", r.story(evening))
	}
	if r.Exact == nil || r.Exact.Before(evening.Add(10*time.Minute)) || r.Exact.After(next) {
		t.Errorf("every change is known from %v on", r.Exact)
	}
	var exact []string
	for _, e := range r.Events {
		if !e.Rough {
			exact = append(exact, fmt.Sprintf("%s %s %s", e.Time.Sub(next).Round(time.Second), e.What, e.Rule))
		}
	}
	if got := strings.Join(exact, ", "); got != "2m0s raised gas-low, 2m30s cleared gas-low" {
		t.Errorf("where every change is known: %s", got)
	}
	if r.Known.Sub(end).Abs() > time.Minute || len(r.Missing) > 0 {
		t.Errorf("known until %s, without history %v", r.Known, r.Missing)
	}
	for _, test := range []struct{ what, more, want string }{
		{"a higher limit", ", override: [{rule: gas-low, when: value >= 20}]", "2m0s raised gas-low@gas.lel in the journal alone\n2m30s cleared gas-low@gas.lel in the journal alone"},
		{"a longer delay", ", override: [{rule: gas-low, for: 10s}]", "2m10s raised gas-low@gas.lel\n2m30s cleared gas-low@gas.lel"},
		{"a new rule", ", inline: [{id: mean, class: gas, level: notice, each: kind == \"gas_lel\", when: 'avg(\"1m\") > 8'}]",
			"2m0s raised gas-low@gas.lel\n2m25s raised mean@gas.lel not in the journal\n2m30s cleared gas-low@gas.lel\n3m1s cleared mean@gas.lel not in the journal"},
	} {
		r, err := replayed(t, dir, test.more).ReplayRules(t.Context(), Span{Since: "15h"}, end)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.story(next); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.what, got, test.want)
		}
	}
}

// TestAReplayNeedsATimeAndAHistory (RU13).
func TestAReplayNeedsATimeAndAHistory(t *testing.T) {
	g := replayed(t, t.TempDir(), "")
	for _, s := range []Span{{Since: "7d"}, {Since: "soon"}, {Since: "40d"}, {Since: "1h", Until: "never"}, {Since: "2050-01-01"}} {
		if _, err := g.ReplayRules(t.Context(), s, time.Now()); err == nil {
			t.Errorf("%v is taken", s)
		} else if _, ok := err.(*BadSelection); !ok {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// contents are the files of a directory with their hashes; SQLite's index of the log, which readers mark, is none.
func contents(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && !strings.HasSuffix(f, "-shm") {
			list = append(list, fmt.Sprintf("%s %x", filepath.Base(f), sha256.Sum256(data)))
		}
	}
	return strings.Join(list, "\n")
}
