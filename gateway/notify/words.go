package notify

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// words are what a message says to people, in parts, so that each channel lays them out in its own way and cuts what
// matters least.
//
//	【演练】一层 / 厨房 厨房燃气探测器 燃气高报 报警
//	02:14:05 32.5%LEL
//	开窗，勿动电器
//	https://192.168.1.10/a/Zx81…
//	颐康养老院 编号 42/1
type words struct {
	mark  string   // 【演练】, or ""
	place string   // zone path, then device
	kind  string   // name of the alarm, and what happened to it
	when  string   // time and value, or who did it; with the date and a mark where it is late
	list  []string // where it stands for several: a line for each alarm
	do    string   // what to do, or what was noted
	link  string
	foot  string // site, number of the event, the keyword of a robot
}

// states are short words for what happened to an alarm; a new one is called by its level.
var states = map[string]i18n.Text{
	alarm.EventReminder:     i18n.T("nobody has acknowledged"),
	alarm.EventEscalated:    i18n.T("escalated, nobody has acknowledged"),
	alarm.EventAcknowledged: i18n.T("is acknowledged"),
	alarm.EventCleared:      i18n.T("has cleared"),
	alarm.EventReset:        i18n.T("was reset"),
	alarm.EventClosed:       i18n.T("was closed"),
	alarm.EventFaultCleared: i18n.T("in order again"),
}

var levels = map[rules.Level]i18n.Text{
	rules.LevelAlarm:    i18n.T("ALARM"),
	rules.LevelPrealarm: i18n.T("early warning"),
	rules.LevelFault:    i18n.T("fault"),
	rules.LevelNotice:   i18n.T("notice"),
}

// say puts a message into words. Without an alarm its line of text is all there is to say.
func say(m Message, lang i18n.Lang) words {
	w := words{link: m.Link, list: m.List}
	w.foot = strings.TrimSpace(cut(oneLine(m.Site.Name), 60) + " " + lang.Say("no. %s", shortID(m.ID)))
	if m.Drill {
		w.mark = lang.Say("[DRILL] ")
	}
	a := m.Alarm
	if a == nil {
		w.kind = strings.TrimPrefix(oneLine(m.Text), w.mark)
		if m.Late {
			w.when = lang.Say("late, of %s", m.Time.Format("01-02 15:04:05"))
		}
		return w
	}
	state, known := states[m.Event]
	if !known {
		state = levels[a.Level]
		if state.Format == "" {
			state = levels[rules.LevelAlarm]
		}
		if a.Count > 1 {
			state = i18n.T("%s again", state)
		}
	}
	w.place = join(" ", a.ZonePath, a.DeviceName)
	w.kind = join(" ", a.Name, lang.Say(state.Format, state.Args...))
	w.when = when(m, state, lang)
	w.do = oneLine(m.Note)
	if a.Active() && m.Event != alarm.EventAcknowledged {
		w.do = oneLine(instruction(a))
	}
	return w
}

// when is the second line: when it was and what was measured, or who did what.
func when(m Message, state i18n.Text, lang i18n.Lang) string {
	a := m.Alarm
	at := m.Time.Format(time.TimeOnly)
	if m.Late {
		at = lang.Say("late, of %s", m.Time.Format("01-02 15:04:05"))
	}
	by := m.By
	if by == "" && m.Event == alarm.EventAcknowledged {
		by = a.AcknowledgedBy
	}
	switch {
	case m.Event == alarm.EventReminder || m.Event == alarm.EventEscalated:
		since := lang.Say("open since %s", a.RaisedAt.In(m.Time.Location()).Format(time.TimeOnly))
		if m.Late {
			return join(" ", since, at, value(a))
		}
		return join(" ", since, value(a))
	case by == "":
		return join(" ", at, value(a))
	case m.Late:
		return lang.Say("%s: %s %s", by, state, at)
	default:
		return lang.Say("%s: %s %s", by, state, m.Time.Format("15:04"))
	}
}

// title is the first line, of at most so many bytes: the mark whole, then the place, then the kind; where there is not
// enough room for both, each has half.
func (w words) title(limit int) string {
	room := limit - len(w.mark)
	whole := join(" ", w.place, w.kind)
	if len(whole) <= room {
		return w.mark + whole
	}
	if w.place == "" || w.kind == "" {
		return cut(w.mark+whole, limit)
	}
	kind := cut(w.kind, max(room/2, room-len(w.place)-1))
	return cut(w.mark+join(" ", cut(w.place, room-len(kind)-1), kind), limit)
}

// text is all lines in at most so many bytes. What to do gives way first, then the last lines of a list, then the link,
// which is whole or not there, then the place and the kind.
func (w words) text(limit int) string {
	first := w.title(1 << 20)
	all := func() string {
		return join("\n", slices.Concat([]string{first, w.when}, w.list, []string{w.do, w.link, w.foot})...)
	}
	over := len(all()) - limit
	if over <= 0 {
		return all()
	}
	if w.do = cut(w.do, len(w.do)-over); len(w.do) < 12 {
		w.do = ""
	}
	for over = len(all()) - limit; over > 0 && len(w.list) > 0; w.list = w.list[:len(w.list)-1] {
		over -= len(w.list[len(w.list)-1]) + 1
	}
	if len(all()) > limit {
		w.link = ""
	}
	if over = len(all()) - limit; over > 0 {
		first = w.title(max(len(first)-over, 0))
	}
	return cut(all(), limit)
}

// body is the text without its first line, for channels that show a title of their own.
func (w words) body(limit int) string {
	w.mark, w.place, w.kind = "", "", ""
	return w.text(limit)
}

// wideMarkup writes what begins or ends markup as its wide twin, of the same look.
var wideMarkup = strings.NewReplacer("<", "＜", ">", "＞")

// wide writes what begins or ends markup wide: no name can become markup.
func (w words) wide() words {
	for _, part := range []*string{&w.mark, &w.place, &w.kind, &w.when, &w.do, &w.foot} {
		*part = wideMarkup.Replace(*part)
	}
	w.list = slices.Clone(w.list)
	for i, line := range w.list {
		w.list[i] = wideMarkup.Replace(line)
	}
	return w
}

// containing puts a keyword into the foot, which is never cut, where the text does not hold it anyway: a robot that asks
// for one drops every message without it.
func (w words) containing(keyword string) words {
	if !strings.Contains(w.title(1<<10)+w.foot, keyword) {
		w.foot = join(" ", w.foot, keyword)
	}
	return w
}

// cut shortens a text to so many bytes, between two characters, with an ellipsis in place of the rest.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const more = "…"
	if limit < len(more) {
		return ""
	}
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimRight(text[:end], " \u200d\ufe0f") + more
}

// cutRunes shortens a text to so many characters.
func cutRunes(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return strings.TrimRight(string(runes[:max(limit-1, 0)]), " \u200d\ufe0f") + "…"
}

// oneLine is a text without line breaks and double spaces, and without bytes that are no text.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
}

// join joins what is not empty; each part is one line.
func join(by string, parts ...string) string {
	var said []string
	for _, p := range parts {
		if p = oneLine(p); p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, by)
}

var longID = regexp.MustCompile(`^0*([0-9]+)-[0-9a-f]+(/[0-9]+)?$`)

// shortID is enough of an event's id to recognise a repeat: 00000042-1a20060f265/1 is 42/1.
func shortID(id string) string {
	if m := longID.FindStringSubmatch(id); m != nil {
		return m[1] + m[2]
	}
	id = oneLine(id)
	if utf8.RuneCountInString(id) > 12 {
		runes := []rune(id)
		return string(runes[len(runes)-10:])
	}
	return id
}

// severity is how much a message wants attention.
type severity int

const (
	good     severity = iota // it is over, or somebody took it
	notice                   // worth knowing
	trouble                  // a fault, or a person who is asked to answer
	prealarm                 // early warning
	danger                   // an alarm
)

// severity of a message; in doubt the highest.
func (m Message) severity() severity {
	if store.Ends(m.Event) {
		return good
	}
	switch m.Event {
	case alarm.EventAcknowledged, "drill.ended":
		return good
	case "test", "drill.started":
		return notice
	case "duty.check", "duty.missed":
		return trouble
	}
	if m.Alarm == nil {
		if m.Event == alarm.EventFaultRaised {
			return trouble
		}
		return danger
	}
	switch m.Alarm.Level {
	case rules.LevelNotice:
		return notice
	case rules.LevelFault:
		return trouble
	case rules.LevelPrealarm:
		return prealarm
	default:
		return danger
	}
}
