package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// account is what was seen on the disk of the daemons: what is there is committed, and has to arrive.
type account struct {
	t      *testing.T
	dir    string
	points map[string]string // that were in the queue after some life
	events []alarm.Event     // the journal
}

func newAccount(t *testing.T) *account {
	return &account{t: t, dir: filepath.Join(t.TempDir(), "data"), points: map[string]string{}}
}

// take reads what a life left on disk: nothing is damaged, what was in the journal is still there, and every alarm that
// the life reported is too.
func (a *account) take(life int, d *life) {
	a.t.Helper()
	st, err := store.Open(a.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		a.t.Fatalf("after life %d: %v", life, err)
	}
	defer st.Close()
	if damage := st.Damage(); len(damage) > 0 {
		a.t.Fatalf("after life %d: %v", life, damage)
	}
	ctx := a.t.Context()
	if _, err := st.VerifyJournal(ctx); err != nil {
		a.t.Fatalf("after life %d: %v", life, err)
	}
	events, err := st.Events(ctx, 0, 0)
	if err != nil {
		a.t.Fatal(err)
	}
	for i, e := range a.events {
		if i >= len(events) || events[i].ID != e.ID {
			a.t.Fatalf("after life %d: event %d, %s, is no longer in the journal", life, e.Seq, e.ID)
		}
	}
	raised := int64(0)
	for _, e := range events[len(a.events):] {
		if e.Alarm != nil && e.Alarm.Signal == "tally-1.smoke" && (e.Type == alarm.EventRaised || e.Type == alarm.EventCounted) {
			raised++
		}
	}
	if reported := d.raised.Load(); raised < reported {
		a.t.Errorf("life %d reported %d alarms as committed, the journal has %d", life, reported, raised)
	}
	a.events = events
	batches, err := st.Queue("platform", store.QueueLimit{}).Oldest(ctx, 1_000_000)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, b := range batches {
		lines, err := gunzip(b.Body)
		if err != nil {
			a.t.Fatalf("after life %d: batch %d: %v", life, b.ID, err)
		}
		points, err := pointsOf(lines)
		if err != nil {
			a.t.Fatalf("after life %d: batch %d: %v", life, b.ID, err)
		}
		for id, fields := range points {
			a.points[id] = fields
		}
	}
}

// arrived waits until every point has arrived, and what else is asked holds: for as long as the missing become fewer, since a long
// run leaves a million of them, and a loaded machine sends slowly.
func (a *account) arrived(p *receiver, from *life, rest func(have map[string]string) error) {
	a.t.Helper()
	for less, before := true, len(a.points); less; {
		less = false
		eventually(a.t, "everything committed has arrived", func() error {
			have := p.copy()
			missing := a.missing(have)
			if len(missing) == 0 {
				return rest(have)
			}
			if len(missing) < before {
				less, before = true, len(missing)
				return nil
			}
			return fmt.Errorf("%d of %d points are not at the platform, such as %s\n%s", len(missing), len(a.points), missing[0], from.complaint())
		})
	}
}

// settle lets one more life send what is left, and counts at the platform and the phone.
func (a *account) settle(p *receiver, config string) {
	a.t.Helper()
	last := startLife(a.t, config, 0)
	last.isReady()
	owed := a.events
	a.arrived(p, last, func(have map[string]string) error {
		if err := lacking(have, owed); err != nil {
			return err
		}
		return p.told(owed)
	})
	if err := last.stop(); err != nil {
		a.t.Errorf("the last life ended with %v\n%s", err, last.complaint())
	}
	a.take(0, last)
	have := p.copy()
	for what, n := range surplus(have, a.events) {
		if n > 0 {
			a.t.Errorf("the platform has %d points more of %s than the journal", n, what)
		}
	}
	if len(p.differs) > 0 {
		a.t.Errorf("points came twice with different fields:\n%s", strings.Join(p.differs, "\n"))
	}
	a.noGaps(have)
	a.t.Logf("%d points at the platform, %d of them seen on disk after a kill, %d came again; %d events; %d messages, %d came again",
		len(have), len(a.points), p.again, len(a.events), len(p.messages), p.repeated())
}

func (a *account) missing(have map[string]string) (list []string) {
	for id, fields := range a.points {
		if have[id] != fields {
			list = append(list, id+" "+fields)
		}
	}
	return list
}

// tallies is how many devices of the tally have points.
func tallies(have map[string]string) int {
	devices := map[string]bool{}
	for id := range have {
		if strings.HasPrefix(id, "device,device=tally-") {
			devices[strings.SplitN(id, ",", 3)[1]] = true
		}
	}
	return len(devices)
}

// noGaps asserts that of each life and device the numbers from 1 to the highest are there.
func (a *account) noGaps(have map[string]string) {
	a.t.Helper()
	type run struct {
		device string
		life   int
	}
	numbers, highest := map[run]map[int]bool{}, map[run]int{}
	for id, fields := range have {
		if !strings.HasPrefix(id, "device,device=tally-") {
			continue
		}
		r := run{device: strings.SplitN(id, ",", 3)[1]}
		var n, rest float64
		if _, err := fmt.Sscanf(fields, "n=%g,life=%di", &n, &r.life); err != nil {
			a.t.Fatalf("%s %s: %v %g", id, fields, err, rest)
		}
		if numbers[r] == nil {
			numbers[r] = map[int]bool{}
		}
		numbers[r][int(n)] = true
		highest[r] = max(highest[r], int(n))
	}
	if n := tallies(have); n < 2 {
		a.t.Errorf("no tally arrived: %d devices", n)
	}
	for r, seen := range numbers {
		if len(seen) != highest[r] {
			a.t.Errorf("%s, life %d: %d numbers arrived, the highest is %d", r.device, r.life, len(seen), highest[r])
		}
	}
}

// lacking names an event of a journal of which there is no point.
func lacking(have map[string]string, events []alarm.Event) error {
	for what, n := range surplus(have, events) {
		if n < 0 {
			return fmt.Errorf("the platform lacks %d events %s", -n, what)
		}
	}
	return nil
}

// surplus compares the points of alarms with the events of a journal: by what happened to which alarm, how many more
// points there are than events.
func surplus(have map[string]string, events []alarm.Event) map[string]int {
	count := map[string]int{}
	for id, fields := range have {
		if strings.HasPrefix(id, "alarm,") {
			event, rest, _ := strings.Cut(strings.TrimPrefix(fields, `event="`), `"`)
			_, rest, _ = strings.Cut(rest, `id="`)
			of, _, _ := strings.Cut(rest, `"`)
			count[event+" of "+of]++
		}
	}
	for _, e := range events {
		if e.Alarm != nil {
			count[e.Type+" of "+e.Alarm.ID]--
		}
	}
	return count
}
