package notify

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// longestLine is how much is said of one alarm among several, in bytes.
const longestLine = 200

// group is what several messages say of one alarm, in their order.
type group []item

// grouped sorts messages by their alarm, in the order in which the alarms come.
func grouped(batch []item) (groups []group) {
	at := map[string]int{}
	for _, it := range batch {
		i, ok := at[it.Alarm]
		if !ok {
			i = len(groups)
			at[it.Alarm] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], it)
	}
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b item) int { return order(a.ID, b.ID) })
	}
	return groups
}

// order is that of Commit: an id below 0 is of a message that is in memory only, which came later, the lower the later.
func order(a, b int64) int {
	if a < 0 && b < 0 {
		a, b = b, a
	} else if a < 0 || b < 0 {
		a, b = -a, -b
	}
	return cmp.Compare(a, b)
}

// follow adds to messages that are going to be one what waits for them alone: what came later of the same alarms, as long
// as nothing between is missing.
func follow(batch []item, pending []store.Message, may func(store.Message) bool) []item {
	has := map[int64]bool{}
	for _, it := range batch {
		has[it.ID] = true
	}
	closed := map[string]bool{} // alarms of which something is missing
	for _, m := range pending {
		switch {
		case has[m.ID]:
		case closed[m.Alarm] || !may(m):
			closed[m.Alarm] = true
		default:
			batch = append(batch, item{m, Said(m)})
		}
	}
	return batch
}

// fitting is the longest beginning of a batch whose list of alarms has room in a message; at least one alarm. An alarm is
// in it with all its messages, or not at all.
func fitting(batch []item, room int, lang i18n.Lang) []item {
	if room == 0 {
		return batch
	}
	var fits []item
	used := 0
	for i, g := range grouped(batch) {
		used += len(g.line(false, lang)) + 1
		if i > 0 && used > room {
			break
		}
		fits = append(fits, g...)
	}
	return fits
}

// merged is one message that stands for several.
//
//	一层 / 厨房：5 条合为一条
//	厨房燃气探测器 燃气高报 32.5%LEL 报警 21:03:05
//	厨房感烟 烟感报警 21:03:10 至 21:04:00，已结束
//
// Whoever has no room for the list says of the first alarm how many more there are.
func merged(batch []item, lang i18n.Lang) Message {
	groups := grouped(batch)
	head := batch[0].said
	m := head
	var places []string
	for _, it := range batch {
		m.Late = m.Late || it.said.Late
		m.Parts = append(m.Parts, it.said.ID)
		if place := it.said.Alarm.ZonePath; !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	for _, g := range groups {
		m.List = append(m.List, g.line(len(places) == 1, lang))
	}
	title := lang.Say("%[1]s: %[2]d messages in one", places[0], len(batch))
	if len(places) > 1 {
		title = lang.Say("%[1]s and %[3]d more places: %[2]d messages in one", places[0], len(batch), len(places)-1)
	}
	if m.Drill {
		title = lang.Say("[DRILL] ") + title
	}
	m.Text = title + "\n" + strings.Join(m.List, "\n")
	if more := len(groups) - 1; more > 0 {
		a := *head.Alarm
		a.Name, a.Value = lang.Say("%[1]s and %[2]d more", a.Name, more), nil
		m.Alarm = &a
	}
	return m
}

// line says in one line what became of an alarm; without its place where all are at one.
func (g group) line(onePlace bool, lang i18n.Lang) string {
	first, last := g[0].said, g[len(g)-1].said
	a := *last.Alarm
	if onePlace {
		a.ZonePath = ""
	}
	if begins(first.Event) && store.Ends(last.Event) && len(g) > 1 {
		a.Value, a.Unit = first.Alarm.Value, first.Alarm.Unit
		return cut(lang.Say("%[1]s from %[2]s to %[3]s, it is over", subject(&a), first.Time.Format(time.TimeOnly), last.Time.Format(time.TimeOnly)), longestLine)
	}
	return cut(what(alarm.Event{Type: last.Event, Time: last.Time, Alarm: &a, By: last.By}, lang), longestLine)
}

func begins(event string) bool { return event == alarm.EventRaised || event == alarm.EventFaultRaised }
