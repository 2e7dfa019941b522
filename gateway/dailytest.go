package gateway

import (
	"context"
	"slices"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/notify"
)

// dailyTest sends a test message by every channel once a day, the way that alarms go: through journal, disk and queue. What
// became of it stands in the ledger; a channel that does not take it is a fault as with any message.
type dailyTest struct {
	h    *hub
	at   time.Duration // since midnight; below 0: never
	last time.Time     // when it was sent last; at the first start of a home, that start; zero: not yet known
}

const (
	dailyTestKey = "daily-test" // in the settings of the store
	never        = "off"
)

// readDailyTest is the time of day of the daily test.
func readDailyTest(s conf.Section, text string) time.Duration {
	if text == never {
		return -1
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		s.Problem("%q is no time of day; write it as 09:00, or %s", text, never)
		return -1
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
}

func newDailyTest(ctx context.Context, h *hub) *dailyTest {
	d := &dailyTest{h: h, at: h.g.testAt}
	text, err := h.store.Get(ctx, dailyTestKey)
	if err == nil && text != "" {
		d.last, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		h.log.Error("time of the daily test not restored", "err", err)
	}
	return d
}

func (d *dailyTest) save() {
	if err := d.h.store.Set(context.Background(), dailyTestKey, d.last.UTC().Format(time.RFC3339)); err != nil {
		d.h.log.Error("time of the daily test not saved", "err", err)
	}
}

// next is when the next test is due; the zero time where there is none. One that was missed is made up for.
func (d *dailyTest) next() time.Time {
	if d.at < 0 || d.last.IsZero() || len(d.h.g.channels.IDs()) == 0 {
		return time.Time{}
	}
	last := d.last.In(d.h.g.location)
	for day := last.Day(); ; day++ {
		due := time.Date(last.Year(), last.Month(), day, int(d.at.Hours()), int(d.at.Minutes())%60, 0, 0, last.Location())
		if due.After(last) {
			return due
		}
	}
}

// tick sends what is due. Nothing is while the clock is doubted; a time that a wrong clock has left behind is forgotten.
func (d *dailyTest) tick(now time.Time) {
	if d.h.gate.doubtedFor() > 0 {
		return
	}
	if d.last.IsZero() || d.last.After(now.Add(24*time.Hour)) {
		d.last = now
		d.save()
		return
	}
	if due := d.next(); due.IsZero() || now.Before(due) {
		return
	}
	d.last = now
	d.save()
	d.h.events = append(d.h.events, alarm.Event{
		ID: eventID(notify.EventTest, now), Time: now.UTC(), Type: notify.EventTest, Note: d.h.g.cfg.Site.Language.Say(dailyNote.Format),
	})
}

var dailyNote = i18n.T("daily test of this channel, nothing to do")

// everyChannel is whom the daily test reaches: each channel, and by one that reaches people one at a time the first who is
// on duty and has a number or address for it; where nobody is, the first such of the list.
func (d *dailyTest) everyChannel(now time.Time) []notify.Address {
	var people []string
	if plan := d.h.g.plan; plan != nil {
		people = plan.OnDuty(now)
		for _, p := range plan.People {
			people = append(people, p.ID)
		}
	}
	to := []notify.Address{}
	for _, c := range d.h.g.channels.Status() {
		a := notify.Address{Channel: c.ID}
		if d.h.g.channels.Personal(c.ID) && len(people) > 0 {
			first := slices.IndexFunc(people, func(id string) bool {
				p, _ := d.h.g.Person(id)
				return c.Kind == "email" && p.Email != "" || c.Kind != "email" && p.Phone != ""
			})
			a.People = people[max(first, 0):][:1]
		}
		to = append(to, a)
	}
	return to
}
