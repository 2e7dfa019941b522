package notify

import (
	"time"

	"embergate/gateway/store"
	"embergate/rules"
)

const (
	calm     = 5 * time.Minute // a zone of which nothing was sent for so long is told of alone again
	tolerate = 3               // messages of a zone that go one by one
)

// lane is the queue of those who read a channel; or, where a channel reaches one person at a time, of one of them.
type lane struct {
	budget
	until time.Time            // the far side asked to be left alone so long
	told  map[string]time.Time // when something was sent last, by zone and class
}

// left is how many messages may go now.
func (ln *lane) left(now time.Time, urgent bool) int {
	if now.Before(ln.until) {
		return 0
	}
	return ln.budget.left(now, urgent)
}

// next is when one more may go.
func (ln *lane) next(now time.Time, urgent bool) time.Time {
	if next := ln.budget.next(now, urgent); next.After(ln.until) {
		return next
	}
	return ln.until
}

// quiet tells whether nothing of this sort was sent lately.
func (ln *lane) quiet(now time.Time, sort string) bool {
	last, ok := ln.told[sort]
	return !ok || now.Sub(last) >= calm || last.After(now)
}

// sent notes what a message spoke of.
func (ln *lane) sent(now time.Time, batch []item) {
	if len(ln.limits) == 0 {
		return
	}
	ln.spend(now)
	if ln.told == nil {
		ln.told = map[string]time.Time{}
	}
	for sort, last := range ln.told {
		if now.Sub(last) >= calm {
			delete(ln.told, sort)
		}
	}
	for _, it := range batch {
		ln.told[it.sort()], ln.told[it.class()] = now, now
	}
}

// item is a stored message with what it says.
type item struct {
	store.Message
	said Message
}

// sort is what a message is of: nothing of the sort was heard before where a zone is quiet.
func (it item) sort() string { return it.zone() + "\x00" + string(it.Class) }

func (it item) class() string { return "\x00\x00" + string(it.Class) }

func (it item) zone() string {
	if it.said.Alarm == nil {
		return ""
	}
	return it.said.Alarm.Zone
}

// pick chooses what goes next of what is due in a lane, the most pressing first: one message alone, or several as one.
//
// The first message of a zone, and the first of fire, go alone and at once. What follows is merged: of a zone where more
// than three wait, and of all zones where more wait than may go. While many zones call at once, half of what may go is
// kept for that.
func pick(due []item, ln *lane, now time.Time) []item {
	head := due[0]
	left := ln.left(now, head.Urgent)
	var all, zone []item
	for _, it := range due {
		if it.merges() && it.said.Drill == head.said.Drill {
			all = append(all, it)
			if it.zone() == head.zone() {
				zone = append(zone, it)
			}
		}
	}
	crowded := len(all) > left
	switch {
	case !head.merges():
	case head.Class == rules.Classes[0] && ln.quiet(now, head.class()):
	case ln.quiet(now, head.sort()) && (!crowded || left > ln.half()):
	case crowded && len(all) > 1:
		return all
	case len(zone) > tolerate:
		return zone
	}
	return due[:1]
}

// half of what a lane takes in its shortest period.
func (ln *lane) half() int {
	if len(ln.limits) == 0 {
		return 0
	}
	return ln.limits[0].most / 2
}

// merges tells whether a message may become part of another: a test, or a call to answer, stands for itself.
func (it item) merges() bool { return it.said.Alarm != nil }
