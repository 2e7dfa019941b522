package notify

import (
	"math"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// raised are the sentences for a new alarm by its level: what and where, and when.
var raised = map[rules.Level]i18n.Text{
	rules.LevelAlarm:    i18n.T("%s ALARM %s"),
	rules.LevelPrealarm: i18n.T("%s early warning %s"),
	rules.LevelFault:    i18n.T("%s fault %s"),
	rules.LevelNotice:   i18n.T("%s notice %s"),
}

// happened are the sentences for what happens to an alarm: what and where, when, and by whom.
var happened = map[string]i18n.Text{
	alarm.EventRaised:       {}, // by its level
	alarm.EventFaultRaised:  {},
	alarm.EventCounted:      i18n.T("%[1]s AGAIN %[2]s"),
	alarm.EventReminder:     i18n.T("%[1]s nobody has acknowledged since %[4]s"),
	alarm.EventEscalated:    i18n.T("%[1]s escalated, nobody has acknowledged since %[4]s"),
	alarm.EventAcknowledged: i18n.T("%[1]s acknowledged %[2]s by %[3]s"),
	alarm.EventCleared:      i18n.T("%[1]s cleared %[2]s"),
	alarm.EventReset:        i18n.T("%[1]s reset %[2]s by %[3]s"),
	alarm.EventClosed:       i18n.T("%[1]s closed %[2]s by %[3]s"),
	alarm.EventUnshelved:    i18n.T("%[1]s is told of again, open since %[4]s"),
	alarm.EventFaultCleared: i18n.T("%[1]s in order again %[2]s"),
}

// announced are the sentences of events without an alarm: when, and what was noted.
var announced = map[string]i18n.Text{
	"test":          i18n.T("Test message %s"),
	"drill.started": i18n.T("The drill begins %s"),
	"drill.ended":   i18n.T("The drill ends %s"),
	"duty.check":    i18n.T("Duty check %s, please answer"),
	"duty.missed":   i18n.T("Duty check %s was not answered"),
}

// forPeople tells whether an event is one of those that the contract sends.
func forPeople(e alarm.Event) bool {
	_, of := happened[e.Type]
	_, announcement := announced[e.Type]
	if e.Type == alarm.EventUnshelved && e.Alarm != nil && !e.Alarm.Open() {
		return false // it is told that it is closed
	}
	return of && e.Alarm != nil || announcement
}

// Text says an event in one line: place, kind, value, what happened and when, and what to do. Times are in the location
// of e.Time.
//
//	【演练】一层 / 厨房 厨房燃气探测器 燃气高报 32.5%LEL 报警 21:03:05。开窗，勿动电器
func Text(e alarm.Event, lang i18n.Lang) string {
	var b strings.Builder
	if e.Alarm != nil && e.Alarm.Drill || strings.HasPrefix(e.Type, "drill.") {
		b.WriteString(lang.Say("[DRILL] "))
	}
	b.WriteString(what(e, lang))
	more := e.Note
	if a := e.Alarm; a != nil && a.Active() && e.Type != alarm.EventAcknowledged {
		more = instruction(a)
	}
	if more = strings.Join(strings.Fields(more), " "); more == "" {
		return b.String()
	}
	return lang.Say("%s. %s", b.String(), more)
}

// instruction is what to do: the alarm's message, without the place that the line began with.
func instruction(a *alarm.Alarm) string {
	text := a.Message
	for _, said := range []string{a.ZonePath, a.DeviceName} {
		rest, ok := strings.CutPrefix(text, said)
		if !ok {
			break
		}
		text = strings.TrimLeft(rest, " :：,，")
	}
	return text
}

// what says what happened, and when; an event that is not for people by its type.
func what(e alarm.Event, lang i18n.Lang) string {
	at := e.Time.Format(time.TimeOnly)
	a := e.Alarm
	if a == nil {
		if t, ok := announced[e.Type]; ok {
			return lang.Say(t.Format, at)
		}
		return e.Type + " " + at
	}
	t, ok := happened[e.Type]
	if !ok {
		return subject(a) + " " + e.Type + " " + at
	}
	if t.Format == "" {
		if t, ok = raised[a.Level]; !ok {
			t = raised[rules.LevelAlarm]
		}
		return lang.Say(t.Format, subject(a), at)
	}
	by, since := e.By, a.RaisedAt.In(e.Time.Location()).Format(time.TimeOnly)
	if by == "" {
		by = lang.Say("the gateway")
	}
	switch {
	case e.Type == alarm.EventReminder && a.State == alarm.Acknowledged:
		return lang.Say("%s is still active since %s, acknowledged by %s", subject(a), since, a.AcknowledgedBy)
	case e.Type == alarm.EventEscalated && e.Note != "":
		return lang.Say("%s escalated, open since %s: %s", subject(a), since, e.Note)
	}
	return lang.Say(t.Format, subject(a), at, by, since)
}

// subject is where and what: zone, device, alarm, value.
func subject(a *alarm.Alarm) string {
	var words []string
	for _, w := range []string{a.ZonePath, a.DeviceName, a.Name, value(a)} {
		if w = strings.Join(strings.Fields(w), " "); w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// value is the number with its unit, to three places; a state, which has no unit, says nothing beyond the alarm's name.
func value(a *alarm.Alarm) string {
	if a.Value == nil || math.IsNaN(*a.Value) || math.IsInf(*a.Value, 0) || a.Unit == "" && (*a.Value == 0 || *a.Value == 1) {
		return ""
	}
	return strconv.FormatFloat(math.Round(*a.Value*1000)/1000, 'f', -1, 64) + a.Unit
}
