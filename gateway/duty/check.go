package duty

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// CheckConfig is `duty.checks`: those on duty are asked, at times that nobody can foresee, to show that they are there
// (查岗).
type CheckConfig struct {
	PerShift int           `yaml:"per_shift"` // 0: nobody is asked
	Answer   time.Duration `yaml:"answer"`    // how long there is to answer
	Missed   string        `yaml:"missed"`    // who is told when nobody does: a person's id or a role; "" is everybody
}

const (
	usualAnswer    = 5 * time.Minute
	longestAnswer  = time.Hour
	mostChecks     = 12             // in a shift
	checksPlanned  = 48 * time.Hour // a plan of a turn that began longer ago is forgotten
	betweenAnswers = time.Minute    // from the end of one check to the next
)

func readChecks(s conf.Section, c CheckConfig, targets []string) {
	if c.PerShift < 0 || c.PerShift > mostChecks {
		s.At("per_shift").Problem("between 0 and %d checks in a shift", mostChecks)
	}
	if c.Answer < time.Minute || c.Answer > longestAnswer {
		s.At("answer").Problem("the time to answer is between %s and %s", time.Minute, longestAnswer)
	}
	if c.Missed != "" && (c.Missed == OnDuty || !slices.Contains(targets, c.Missed)) {
		s.At("missed").NotOneOf(c.Missed, slices.DeleteFunc(slices.Clone(targets), func(t string) bool { return t == OnDuty }))
	}
}

// Check is one question to those on duty.
type Check struct {
	ID     string    `json:"id"`
	Shift  string    `json:"shift"`
	People []string  `json:"people"` // ids, of whom one is to answer
	Asked  time.Time `json:"asked"`
	Until  time.Time `json:"until"`
}

// Checks are the duty checks ahead, and the one that waits for its answer. The type is pure: it is told the time, and what
// chance is. What is exported survives a power cut.
type Checks struct {
	plan   *Plan
	chance *rand.Rand

	Plans []checkPlan   `json:"plans,omitempty"`
	Open  *Check        `json:"open,omitempty"`
	Last  time.Time     `json:"last,omitzero"` // when the latest was over
	Left  time.Duration `json:"left"`          // of the open one, when this was stored
	At    time.Time     `json:"at,omitzero"`   // when this was stored
}

// checkPlan is when those of one turn are going to be asked.
type checkPlan struct {
	Shift string      `json:"shift"`
	From  time.Time   `json:"from"`
	Ahead []time.Time `json:"ahead,omitempty"`
}

// RestoreChecks reads what Record wrote; "" is the beginning. Of a check that was open, the time to answer goes on.
func RestoreChecks(now time.Time, p *Plan, chance *rand.Rand, text string) (*Checks, error) {
	c := &Checks{}
	var err error
	if text != "" {
		if err = json.Unmarshal([]byte(text), c); err != nil {
			c, err = &Checks{}, fmt.Errorf("duty checks as stored: %w", err)
		}
	}
	c.plan, c.chance = p, chance
	if c.Open != nil {
		c.Open.Until = now.Add(min(max(c.Left, 0), longestAnswer))
	}
	return c, err
}

// Record is the state for the disk.
func (c *Checks) Record(now time.Time) string {
	stored := *c
	stored.At, stored.Left = now.UTC(), 0
	if c.Open != nil {
		stored.Left = c.Open.Until.Sub(now)
	}
	data, _ := json.Marshal(stored) // texts, times and lists always marshal
	return string(data)
}

// CheckEvent is that a check began, or was missed.
type CheckEvent struct {
	Missed bool
	Check
}

// Tick answers what is due: a check that begins, or one that nobody answered. While the home is busy with an alarm nobody
// is asked; it waits.
func (c *Checks) Tick(now time.Time, busy bool) (e CheckEvent, ok bool) {
	if c.Open != nil {
		if now.Before(c.Open.Until) {
			return CheckEvent{}, false
		}
		e = CheckEvent{Missed: true, Check: *c.Open}
		c.Open, c.Last = nil, now
		return e, true
	}
	if c.plan.Checks.PerShift == 0 {
		return CheckEvent{}, false
	}
	c.prepare(now)
	if busy || !c.Last.IsZero() && now.Sub(c.Last) < betweenAnswers && !now.Before(c.Last) {
		return CheckEvent{}, false
	}
	for i := range c.Plans {
		p := &c.Plans[i]
		if len(p.Ahead) == 0 || now.Before(p.Ahead[0]) {
			continue
		}
		p.Ahead = p.Ahead[1:]
		if check, asked := c.ask(now, p.Shift); asked {
			return CheckEvent{Check: check}, true
		}
	}
	return CheckEvent{}, false
}

// Order begins a check that somebody outside asks for, of the shift that is on, busy or not. One that is open is enough,
// and none begins. ok is false where nobody is on duty. answer is the time that there is; 0: as usual.
func (c *Checks) Order(now time.Time, answer time.Duration) (e *CheckEvent, ok bool) {
	if c.Open != nil {
		return nil, true
	}
	for _, t := range c.plan.Turns(now, now.Add(1)) {
		if check, asked := c.ask(now, t.Shift); asked {
			if answer > 0 {
				check.Until = now.Add(min(max(answer, time.Minute), longestAnswer))
				c.Open.Until = check.Until
			}
			return &CheckEvent{Check: check}, true
		}
	}
	return nil, false
}

// ask begins a check of a shift that is on.
func (c *Checks) ask(now time.Time, shift string) (Check, bool) {
	for _, t := range c.plan.Turns(now, now.Add(1)) {
		if t.Shift == shift {
			c.Open = &Check{
				ID: fmt.Sprintf("check-%x", now.UnixMilli()), Shift: shift, People: slices.Clone(t.People),
				Asked: now, Until: now.Add(c.plan.Checks.Answer),
			}
			return *c.Open, true
		}
	}
	return Check{}, false
}

// prepare draws the times of the turns that have begun; what lay before now, since the gateway did not run, is not asked.
func (c *Checks) prepare(now time.Time) {
	c.Plans = slices.DeleteFunc(c.Plans, func(p checkPlan) bool { return now.Sub(p.From) > checksPlanned || p.From.Sub(now) > checksPlanned })
	for _, t := range c.plan.Turns(now, now.Add(1)) {
		if slices.ContainsFunc(c.Plans, func(p checkPlan) bool { return p.Shift == t.Shift && p.From.Equal(t.From) }) {
			continue
		}
		p := checkPlan{Shift: t.Shift, From: t.From}
		span := t.To.Sub(t.From) - c.plan.Checks.Answer
		for range c.plan.Checks.PerShift {
			if at := t.From.Add(time.Duration(c.chance.Float64() * float64(max(span, 0)))); !at.Before(now) {
				p.Ahead = append(p.Ahead, at.UTC())
			}
		}
		slices.SortFunc(p.Ahead, time.Time.Compare)
		c.Plans = append(c.Plans, p)
	}
}

// Answer ends the open check.
func (c *Checks) Answer(now time.Time, id string) (Check, error) {
	if c.Open == nil || c.Open.ID != id {
		return Check{}, &alarm.Refused{Cause: alarm.ErrNotFound, Text: i18n.T("this duty check is over")}
	}
	check := *c.Open
	c.Open, c.Last = nil, now
	return check, nil
}

// Next is when the open check is over; zero: none is open. The times of those ahead are nobody's to know, and are found at
// the turns of whoever ticks.
func (c *Checks) Next() time.Time {
	if c.Open == nil {
		return time.Time{}
	}
	return c.Open.Until
}
