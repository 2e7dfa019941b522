package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/duty"
	"embergate/gateway/store"
	"embergate/rules"
)

// rounds are the hub's side of what people on duty do besides alarms: they show that they are there, see to hazards, and
// hand over. What happens is in the journal; what is under way is in the settings.
type rounds struct {
	h        *hub
	checks   *duty.Checks // nil: there is no roster
	hazards  *duty.Hazards
	over     []console.HandOver   // newest first
	settings []store.Setting      // that are not on disk yet
	looked   time.Time            // when hazards were looked for
	faults   map[string]time.Time // since when each fault has been open, by the clock that is never set
}

// Settings of the store, and how many hand-overs are kept besides the journal.
const (
	checksKey     = "checks"
	hazardKey     = "hazard/"
	faultsKey     = "faults"
	handOversKey  = "handovers"
	mostHandOvers = 60
)

func newRounds(ctx context.Context, h *hub, now time.Time) *rounds {
	r := &rounds{h: h, faults: map[string]time.Time{}}
	r.recallFaults(ctx, now)
	plan := h.g.plan
	if plan == nil {
		plan = &duty.Plan{Config: duty.Config{Hazards: duty.UsualHazards}}
	}
	stored, err := h.store.Settings(ctx, hazardKey)
	if err != nil {
		h.log.Error("hazards not restored", "err", err)
	}
	var known []duty.Hazard
	for id, text := range stored {
		var hz duty.Hazard
		if err := json.Unmarshal([]byte(text), &hz); err != nil {
			h.log.Error("hazard not restored", "hazard", id, "err", err)
			continue
		}
		known = append(known, hz)
	}
	r.hazards = duty.NewHazards(plan, known)
	if err := h.readSetting(ctx, handOversKey, &r.over); err != nil {
		h.log.Error("hand-overs not restored", "err", err)
	}
	if h.g.plan == nil {
		return r
	}
	text, err := h.store.Get(ctx, checksKey)
	if err == nil {
		r.checks, err = duty.RestoreChecks(now, plan, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), text)
	}
	if err != nil {
		h.log.Error("duty checks not restored", "err", err)
	}
	return r
}

// tick does what time brings, once a second.
func (r *rounds) tick(now time.Time) {
	if r.checks != nil {
		if e, ok := r.checks.Tick(now, r.busy()); ok {
			r.check(now, e)
		}
	}
	if now.Sub(r.looked) < time.Minute || r.h.gate.doubtedFor() > 0 { // a due time is one of the calendar
		return
	}
	r.looked = now
	open := r.h.board.Open()
	for _, hz := range r.hazards.Faults(now, open, func(a alarm.Alarm) time.Duration { return now.Sub(r.open(now, a)) }) {
		r.hazard(now, hz, "opened", alarm.Act{})
	}
	for _, hz := range r.hazards.Overdue(now) {
		r.hazard(now, hz, "overdue", alarm.Act{})
	}
}

// open is since when a fault has been open.
func (r *rounds) open(now time.Time, a alarm.Alarm) time.Time {
	if _, known := r.faults[a.ID]; !known {
		r.faults[a.ID] = now
	}
	return r.faults[a.ID]
}

// rememberFaults keeps for how long faults have been open, of those that are still.
func (r *rounds) rememberFaults(ctx context.Context, now time.Time) error {
	ran := map[string]time.Duration{}
	open := r.h.board.Open()
	for id, since := range r.faults {
		if !slices.ContainsFunc(open, func(a alarm.Alarm) bool { return a.ID == id }) {
			delete(r.faults, id)
			continue
		}
		ran[id] = now.Sub(since)
	}
	return r.h.setting(ctx, faultsKey, ran)
}

func (r *rounds) recallFaults(ctx context.Context, now time.Time) {
	ran := map[string]time.Duration{}
	if err := r.h.readSetting(ctx, faultsKey, &ran); err != nil {
		r.h.log.Error("age of faults not recalled", "err", err)
	}
	for id, d := range ran {
		r.faults[id] = now.Add(-max(d, 0))
	}
}

// busy tells whether an alarm waits for an answer: then nobody is asked whether they are there.
func (r *rounds) busy() bool {
	return slices.ContainsFunc(r.h.board.Open(), func(a alarm.Alarm) bool {
		return a.State == alarm.Unacknowledged && !a.Test && (a.Level == rules.LevelAlarm || a.Level == rules.LevelPrealarm)
	})
}

// check writes down that a duty check began, or that nobody answered it; whoever it concerns is told by the event.
func (r *rounds) check(now time.Time, e duty.CheckEvent) {
	lang := r.h.g.cfg.Site.Language
	ev := alarm.Event{ID: e.ID, Time: now.UTC(), Type: "duty.check",
		Note: lang.Say("%s, to be answered until %s", e.Shift, e.Until.In(r.h.g.location).Format(time.TimeOnly))}
	if e.Missed {
		var names []string
		for _, id := range e.People {
			p, _ := r.h.g.Person(id)
			names = append(names, p.Name)
		}
		ev.ID, ev.Type, ev.Note = e.ID+"/missed", "duty.missed", strings.TrimSpace(e.Shift+" "+strings.Join(names, " "))
	}
	r.h.events = append(r.h.events, ev)
	r.keepChecks(now)
	r.h.report.duty(now, ev, 0)
}

func (r *rounds) keepChecks(now time.Time) { r.keep(checksKey, r.checks.Record(now)) }

// keep has a setting written in the transaction of the events.
func (r *rounds) keep(key, value string) {
	r.settings = slices.DeleteFunc(r.settings, func(s store.Setting) bool { return s.Key == key })
	r.settings = append(r.settings, store.Setting{Key: key, Value: value})
}

// hazard writes down what became of a hazard.
func (r *rounds) hazard(now time.Time, hz duty.Hazard, what string, act alarm.Act) {
	body, _ := json.Marshal(hz) // texts and times always marshal
	r.keep(hazardKey+hz.ID, string(body))
	note := strings.TrimSpace(hz.ZonePath + " " + hz.Title)
	if act.Note != "" {
		note = r.h.g.cfg.Site.Language.Say("%s: %s", note, act.Note)
	}
	r.h.events = append(r.h.events, alarm.Event{
		ID: fmt.Sprintf("%s/%d%s", hz.ID, len(hz.Notes), map[bool]string{true: "o"}[what == "overdue"]), Time: now.UTC(), Type: "hazard." + what, By: act.By, Via: act.Via, From: act.From, Note: note,
	})
}

// asked is the duty check that waits for its answer; nil: none does.
func (r *rounds) asked() *console.DutyCheck {
	if r.checks == nil || r.checks.Open == nil {
		return nil
	}
	c := r.checks.Open
	d := &console.DutyCheck{ID: c.ID, Shift: c.Shift, Asked: c.Asked.In(r.h.g.location), Until: c.Until.In(r.h.g.location)}
	for _, id := range c.People {
		p, _ := r.h.g.Person(id)
		d.People = append(d.People, p.Name)
	}
	return d
}

// AnswerCheck says that somebody is there.
func (h *hub) AnswerCheck(ctx context.Context, id string, a alarm.Act) (d console.DutyCheck, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		if strings.TrimSpace(a.By) == "" {
			return nil, refuse(alarm.ErrInput, "say who does this")
		}
		if open := h.rounds.asked(); open != nil {
			d = *open
		}
		if h.rounds.checks == nil {
			return nil, refuse(alarm.ErrNotFound, "this duty check is over")
		}
		c, err := h.rounds.checks.Answer(now, id)
		if err != nil {
			return nil, err
		}
		d.Answered, d.By = ptr(now.In(h.g.location)), a.By
		h.rounds.keepChecks(now)
		e := alarm.Event{ID: c.ID + "/answered", Time: now.UTC(), Type: "duty.answered", By: a.By, Via: a.Via, From: a.From, Note: a.Note}
		h.report.duty(now, e, now.Sub(c.Asked))
		return []alarm.Event{e}, nil
	})
	return d, err
}

// OrderCheck begins a duty check that a platform asks for.
func (h *hub) OrderCheck(ctx context.Context, answer time.Duration) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		if h.rounds.checks == nil {
			return nil, refuse(alarm.ErrState, "there is no duty roster")
		}
		e, ok := h.rounds.checks.Order(now, answer)
		if !ok {
			return nil, refuse(alarm.ErrState, "nobody is on duty")
		}
		if e != nil {
			h.rounds.check(now, *e)
		}
		return nil, nil
	})
}

func ptr[T any](v T) *T { return &v }

// Hazards are all that are known, the urgent ones first.
func (h *hub) Hazards(ctx context.Context) (list []duty.Hazard, err error) {
	err = h.ask(ctx, func(now time.Time) { list = h.rounds.hazards.List(now) })
	return list, err
}

// AddHazard is what somebody found.
func (h *hub) AddHazard(ctx context.Context, hz duty.Hazard, a alarm.Act) (made duty.Hazard, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		if _, ok := h.g.places[hz.Zone]; hz.Zone != "" && !ok {
			return nil, refuse(alarm.ErrInput, "there is no zone %q", hz.Zone)
		}
		hz.ZonePath = h.g.places[hz.Zone].Path
		if made, err = h.rounds.hazards.NewHazard(now, hz, a.By); err != nil {
			return nil, err
		}
		h.rounds.hazard(now, made, "opened", a)
		return nil, nil
	})
	return made, err
}

// DoHazard changes a hazard.
func (h *hub) DoHazard(ctx context.Context, id string, act duty.HazardAct, a alarm.Act) (hz duty.Hazard, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		act.By, act.Note = a.By, a.Note
		if hz, err = h.rounds.hazards.Do(now, id, act); err != nil {
			return nil, err
		}
		h.rounds.hazard(now, hz, hz.Notes[len(hz.Notes)-1].Act, a)
		return nil, nil
	})
	return hz, err
}

// AddHazardPhoto adds a picture to a hazard, without what it says beside its pixels.
func (h *hub) AddHazardPhoto(ctx context.Context, id string, data []byte, a alarm.Act) (duty.Hazard, error) {
	clean, err := cleaned(data)
	if err != nil {
		return duty.Hazard{}, err
	}
	if list, err := h.Hazards(ctx); err != nil || !slices.ContainsFunc(list, func(hz duty.Hazard) bool { return hz.ID == id }) {
		return duty.Hazard{}, refuse(alarm.ErrNotFound, "there is no hazard %q", id)
	}
	var hz duty.Hazard
	err = h.keepPhoto(id, clean, func(p alarm.Photo) (err error) {
		hz, err = h.DoHazard(ctx, id, duty.HazardAct{Act: "note", Photo: strings.TrimPrefix(p.Type, "image/") + ":" + p.SHA256}, a)
		return err
	})
	return hz, err
}

// HazardPhoto is the n-th picture of a hazard, from 1, with its type.
func (h *hub) HazardPhoto(ctx context.Context, id string, n int) (kind string, data []byte, err error) {
	list, err := h.Hazards(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, hz := range list {
		if hz.ID == id && n >= 1 && n <= len(hz.Photos) {
			format, hash, _ := strings.Cut(hz.Photos[n-1], ":")
			data, err = h.store.Photo(id, hash)
			return "image/" + format, data, missing(err)
		}
	}
	return "", nil, fmt.Errorf("picture %d of hazard %s: %w", n, id, fs.ErrNotExist)
}

// HandOver is the end of one shift and the beginning of the next: both people sign what is open then.
func (h *hub) HandOver(ctx context.Context, second string, a alarm.Act) (over console.HandOver, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		switch {
		case strings.TrimSpace(a.By) == "" || strings.TrimSpace(second) == "":
			return nil, refuse(alarm.ErrInput, "a hand-over has two names: who goes, and who comes")
		case a.By == second:
			return nil, refuse(alarm.ErrInput, "the second person must be another")
		}
		r := h.rounds
		over = r.handOver(now, a, second)
		r.over = slices.Insert(r.over, 0, over)
		r.over = r.over[:min(len(r.over), mostHandOvers)]
		body, _ := json.Marshal(r.over) // texts and times always marshal
		r.keep(handOversKey, string(body))
		e := alarm.Event{ID: eventID("duty.handover", now), Time: now.UTC(), Type: "duty.handover", By: a.By, Second: second, Via: a.Via, From: a.From, Note: over.Say(h.g.cfg.Site.Language)}
		h.report.duty(now, e, 0)
		return []alarm.Event{e}, nil
	})
	return over, err
}

// handOver is what whoever comes must know: alarms that are open or shelved, devices that are silent, zones under test,
// hazards.
func (r *rounds) handOver(now time.Time, a alarm.Act, second string) console.HandOver {
	over := console.HandOver{Time: now.In(r.h.g.location), From: a.By, To: second, Note: a.Note}
	for _, al := range r.h.board.Open() {
		what := strings.Join(strings.Fields(al.ZonePath+" "+al.DeviceName+" "+al.Name), " ")
		if al.ShelvedUntil != nil {
			over.Shelved = append(over.Shelved, what)
			continue
		}
		over.Open = append(over.Open, what)
	}
	for _, d := range r.h.live.devices {
		if d.online.Quality != drivers.Good || d.online.Value != 1 {
			over.Silent = append(over.Silent, strings.TrimSpace(r.h.g.places[d.Zone].Path+" "+d.Name))
		}
	}
	for _, t := range r.h.exercise.Tests {
		over.Tests = append(over.Tests, r.h.g.places[t.Zone].Path)
	}
	for _, hz := range r.hazards.List(now) {
		if hz.State != duty.HazardClosed {
			over.Hazards = append(over.Hazards, strings.TrimSpace(hz.ZonePath+" "+hz.Title))
		}
	}
	return over
}

// HandOvers are the latest, the newest first.
func (h *hub) HandOvers(ctx context.Context) (list []console.HandOver, err error) {
	err = h.ask(ctx, func(time.Time) { list = slices.Clone(h.rounds.over) })
	return list, err
}
