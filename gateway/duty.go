package gateway

import (
	"context"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/duty"
	"embergate/gateway/notify"
	"embergate/gateway/store"
	"embergate/rules"
)

// duties are the hub's side of duty: whom each event is told, and what the time brings to alarms that nobody answered.
// Without a roster every channel is told everything at once.
type duties struct {
	h         *hub
	plan      *duty.Plan       // nil: there is no roster
	calls     *duty.Escalation // nil as well
	more      []store.Message  // in place of those that were refused
	links     *links
	withdrawn []string        // alarms whose reminders nobody wants any more, not yet on disk
	spent     []store.Setting // links that were used, not yet on disk
	gaps      []duty.Gap      // of the days ahead
	looked    time.Time       // when they were looked for
	alarming  fact            // whether alarms reach people as they should
	judged    time.Time       // when that was looked at
}

const (
	dutyKey   = "duty/"            // of the calls in the store's settings
	dutyAhead = 7 * 24 * time.Hour // a gap in the roster is warned of so long before
)

// Person is somebody of the roster.
func (g *Gateway) Person(id string) (duty.Person, bool) {
	if g.plan == nil {
		return duty.Person{}, false
	}
	return g.plan.Person(id)
}

// newDuties goes on from where the calls stood.
func newDuties(ctx context.Context, h *hub, now time.Time) *duties {
	d := &duties{h: h, plan: h.g.plan, alarming: fact{works: true, since: now}}
	var err error
	if d.links, d.spent, err = newLinks(ctx, h.store, h.g.cfg.Console.PublicURL, now); err != nil {
		h.log.Error("messages have no links to answer with", "err", err)
	}
	h.g.told.Store(d)
	if d.plan == nil {
		return d
	}
	calls, err := h.store.Settings(ctx, dutyKey)
	if err == nil {
		d.calls, err = duty.Restore(now, d.plan, calls, h.board.Open())
	}
	if err != nil {
		h.log.Error("escalation not restored, what is open is told again", "err", err)
	}
	if d.calls == nil {
		d.calls, _ = duty.Restore(now, d.plan, nil, h.board.Open()) // of nothing, which cannot fail
	}
	return d
}

// messages are those of an event, for whom it is to be told.
func (d *duties) messages(now time.Time, e alarm.Event) []store.Message {
	if e.Type == alarm.EventAcknowledged && e.Alarm != nil {
		d.withdrawn = append(d.withdrawn, e.Alarm.ID)
		d.h.outbox.withdraw(e.Alarm.ID)
	}
	if inside(e) {
		return nil
	}
	if e.Type == notify.EventTest {
		return d.h.g.channels.Compose(e, d.h.sample, d.h.daily.everyChannel(now))
	}
	if d.plan == nil {
		if hushed(e) {
			return nil
		}
		return d.h.g.channels.Compose(e, d.h.sample, nil)
	}
	var to []duty.Address
	switch {
	case e.Type == "duty.missed":
		to = d.plan.Missed(now)
	case e.Alarm == nil:
		to = d.calls.Announce(now)
	default:
		to = d.calls.Take(now, e)
	}
	if len(to) == 0 {
		return nil
	}
	return d.h.g.channels.Compose(e, d.h.sample, d.h.around(e, addresses(to)))
}

func addresses(to []duty.Address) []notify.Address {
	list := make([]notify.Address, len(to))
	for i, a := range to {
		list[i] = notify.Address(a)
	}
	return list
}

// next is when a step or reminder is due; zero: none is.
func (d *duties) next(now time.Time) time.Time {
	if d.plan == nil {
		return time.Time{}
	}
	return d.calls.Next(now)
}

// tick has the board remind and escalate what is due; whom that is told follows from its events.
func (d *duties) tick(now time.Time) {
	if d.plan == nil {
		return
	}
	if now.Sub(d.judged) >= turn*9/10 {
		d.judged = now
		if works := d.alone(now).Format == ""; works != d.alarming.works {
			d.alarming = fact{works: works, since: now}
		}
	}
	works := map[string]bool{}
	for _, c := range d.h.g.channels.Status() {
		works[c.ID] = c.Working
	}
	d.calls.Failing(func(channel string) bool { return !works[channel] })
	for _, n := range d.calls.Due(now) {
		act, remind := alarm.Act{}, d.h.board.Remind
		if n.Event == alarm.EventEscalated {
			remind = d.h.board.Escalate
		}
		act.Note = d.why(n)
		events, err := remind(now, n.Alarm, act)
		if err != nil { // the board has it no more
			d.calls.Forget(n.Alarm)
		}
		d.h.events = append(d.h.events, events...)
	}
}

// why says why an alarm is escalated, where that is not that nobody has answered.
func (d *duties) why(n duty.Need) string {
	lang := d.h.g.cfg.Site.Language
	a, ok := d.h.board.Alarm(n.Alarm)
	switch {
	case n.Event != alarm.EventEscalated || !ok:
		return ""
	case n.Why == duty.ChannelsFail:
		return lang.Say("no channel delivers; everybody is told")
	case a.State == alarm.Acknowledged && a.AcknowledgedAt != nil:
		return lang.Say("%s acknowledged it at %s, and it is still active", a.AcknowledgedBy, a.AcknowledgedAt.In(d.h.g.location).Format("15:04"))
	}
	return ""
}

// settings are the calls that changed and the links that were used, for the transaction of the events.
func (d *duties) settings(now time.Time) []store.Setting {
	changed := slices.Clone(d.spent)
	if d.plan == nil {
		return changed
	}
	for _, r := range d.calls.Changed(now) {
		changed = append(changed, store.Setting{Key: dutyKey + r.Alarm, Value: r.Body})
	}
	return changed
}

// stored is told that all that was to be on disk is there.
func (d *duties) stored() { d.withdrawn, d.spent = nil, nil }

// checkpoint makes settings hold everything as it is now.
func (d *duties) checkpoint() {
	if d.plan != nil {
		d.calls.Checkpoint()
	}
}

// delivered is told every attempt of a channel, by its goroutine.
func (g *Gateway) delivered(m store.Message, outcome string) {
	g.phone.delivered(m, outcome)
	g.proof.delivered(m, store.Outcome(outcome), time.Now())
	if d := g.told.Load(); d != nil && d.plan != nil && m.Alarm != "" && store.Outcome(outcome) == store.Accepted {
		d.h.post(func(time.Time) { d.calls.Accepted(m.Alarm, m.Event) })
	}
}

// failed is told of every message that a channel will never deliver, by its goroutine.
func (g *Gateway) failed(m store.Message, _ string) {
	if d := g.told.Load(); d != nil && d.plan != nil && m.Alarm != "" {
		d.h.post(func(now time.Time) { d.refused(now, m) })
	}
}

// refused has what a channel will never take told by another, at once.
func (d *duties) refused(now time.Time, m store.Message) {
	var people []string
	if m.To != "" {
		people = strings.Split(m.To, ",")
	}
	for _, a := range d.calls.Refused(now, m.Alarm, m.Event, m.Channel, people) {
		again := m
		again.ID, again.Attempts, again.LastError, again.NotBefore = 0, 0, "", time.Time{}
		again.Channel = a.Channel
		if !d.h.g.channels.Personal(a.Channel) || len(a.People) == 0 {
			d.more = append(d.more, again)
			continue
		}
		for _, again.To = range a.People {
			d.more = append(d.more, again)
		}
	}
	d.tick(now)
	d.h.commit(now)
	d.h.g.channels.Wake()
}

// sounder are the outputs for an alarm of which nobody can be told, until somebody has answered.
func (d *duties) sounder(a alarm.Alarm) []rules.Output {
	if d.plan == nil || d.calls.Falls(a.ID) == "" || a.Level != rules.LevelAlarm && a.Level != rules.LevelPrealarm {
		return nil
	}
	return d.h.g.sounder
}

// gapsAhead are the gaps of the roster in the days ahead, looked for once a minute.
func (d *duties) gapsAhead(now time.Time) []duty.Gap {
	if d.plan != nil && (d.looked.IsZero() || now.Sub(d.looked) >= time.Minute || len(d.gaps) > 0 && !now.Before(d.gaps[0].From)) {
		d.looked, d.gaps = now, d.plan.Gaps(now, now.Add(dutyAhead))
	}
	return d.gaps
}

// covered tells whether somebody is on duty by the roster in all of the days ahead.
func (d *duties) covered(now time.Time) bool {
	return d.plan != nil && len(d.plan.Config.Shifts) > 0 && len(d.gapsAhead(now)) == 0
}

// alone says why alarms reach nobody as they should; an empty text where they do.
func (d *duties) alone(now time.Time) i18n.Text {
	if d.plan == nil {
		return i18n.Text{}
	}
	why := map[duty.Fallback]i18n.Text{
		duty.NobodyOnDuty: i18n.T("nobody was on duty; everybody is told of %s"),
		duty.ChannelsFail: i18n.T("no channel delivers; everybody is told of %s"),
	}
	for _, a := range d.h.board.Open() {
		if t, ok := why[d.calls.Falls(a.ID)]; ok {
			return i18n.T(t.Format, strings.TrimSpace(a.ZonePath+" "+a.Name))
		}
	}
	if len(d.plan.Config.Shifts) > 0 && len(d.plan.OnDuty(now)) == 0 {
		return i18n.T("nobody is on duty")
	}
	return i18n.Text{}
}

// withdraw drops what is held of an alarm and only reminds, as the store does.
func (o *outbox) withdraw(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = slices.DeleteFunc(o.held, func(m store.Message) bool { return m.Alarm == id && store.Reminds(m.Type) })
}
