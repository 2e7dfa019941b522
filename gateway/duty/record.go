package duty

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// Record is what must survive a power cut of one alarm.
type Record struct {
	Alarm string
	Body  string // "": it may be forgotten
}

// Changed are the records that changed since the last call, for the transaction of the events.
func (e *Escalation) Changed(now time.Time) []Record {
	var records []Record
	for _, id := range slices.Sorted(maps.Keys(e.changed)) {
		c := e.calls[id]
		switch {
		case c != nil:
			kept := *c
			kept.Ran = c.elapsed(now)
			body, _ := json.Marshal(kept) // texts, times and lists always marshal
			records = append(records, Record{id, string(body)})
			e.stored[id] = true
		case e.stored[id]:
			records = append(records, Record{Alarm: id})
			delete(e.stored, id)
		}
	}
	clear(e.changed)
	return records
}

// Checkpoint makes Changed hold everything as it is now. With it before an orderly end a restart loses no time.
func (e *Escalation) Checkpoint() {
	for id := range e.calls {
		e.changed[id] = true
	}
}

// watch sees to it that clocks under way are recorded in time.
func (e *Escalation) watch(now time.Time) {
	if e.keep.IsZero() && e.running() {
		e.keep = now.Add(checkpoint)
	}
}

func (e *Escalation) running() bool {
	for _, c := range e.calls {
		if _, _, ok := c.due(e.plan); ok {
			return true
		}
	}
	return false
}

func (e *Escalation) keepClocks(now time.Time) {
	e.keep = time.Time{}
	for id, c := range e.calls {
		if _, _, ok := c.due(e.plan); ok {
			e.changed[id] = true
		}
	}
	e.watch(now)
}

// Restore is the escalation as its records say, of the alarms that are open. Nobody is told by it: a clock goes on from
// where it stood. An open alarm without a record, from before there was a roster, is told at the next turn.
func Restore(now time.Time, p *Plan, records map[string]string, open []alarm.Alarm) (*Escalation, error) {
	e := NewEscalation(p)
	var unread []string
	for _, id := range slices.Sorted(maps.Keys(records)) {
		e.stored[id] = true
		c := &call{}
		if err := json.Unmarshal([]byte(records[id]), c); err != nil {
			unread = append(unread, id)
			continue
		}
		if !slices.ContainsFunc(open, func(a alarm.Alarm) bool { return a.ID == id }) {
			e.changed[id] = true
			continue
		}
		c.Ran = min(max(c.Ran, 0), longestStored)
		c.Told, c.First = p.known(c.Told), p.known(c.First)
		if c.Step = min(max(c.Step, 0), len(p.Steps(c.Level))); !c.Shelved && c.Stand != held {
			c.since = now
		}
		e.calls[id] = c
	}
	for _, a := range open {
		if e.calls[a.ID] == nil && !a.Test {
			e.adopt(now, a)
		}
	}
	e.watch(now)
	if unread != nil {
		return e, fmt.Errorf("escalation of %s as stored cannot be read", strings.Join(unread, ", "))
	}
	return e, nil
}

// adopt takes over an open alarm of which nothing is known.
func (e *Escalation) adopt(now time.Time, a alarm.Alarm) {
	c := &call{Level: a.Level, Class: a.Class, Stand: held, Active: a.Active(), Shelved: hushed(&a)}
	e.calls[a.ID], e.changed[a.ID] = c, true
	switch a.State {
	case alarm.Acknowledged, alarm.Latched:
		c.Stand = answered
		c.Step = 1
		c.run(now, 0)
	case alarm.Returned:
		if a.Level != rules.LevelAlarm {
			c.Stand = over
		}
	}
}
