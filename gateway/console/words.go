package console

import (
	"math"
	"strconv"
	"strings"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// levelWords name the levels of alarms.
var levelWords = map[rules.Level]i18n.Text{
	rules.LevelAlarm:    i18n.T("Alarm"),
	rules.LevelPrealarm: i18n.T("Pre-alarm"),
	rules.LevelFault:    i18n.T("Fault"),
	rules.LevelNotice:   i18n.T("Notice"),
}

// eventWords say what happened to an alarm.
var eventWords = map[string]i18n.Text{
	alarm.EventRaised:       i18n.T("raised"),
	alarm.EventCounted:      i18n.T("triggered again"),
	alarm.EventCleared:      i18n.T("over"),
	alarm.EventFaultRaised:  i18n.T("raised"),
	alarm.EventFaultCleared: i18n.T("over"),
	alarm.EventAcknowledged: i18n.T("answered"),
	alarm.EventSilenced:     i18n.T("silenced"),
	alarm.EventReset:        i18n.T("reset"),
	alarm.EventShelved:      i18n.T("set aside"),
	alarm.EventUnshelved:    i18n.T("no longer set aside"),
	alarm.EventVerdict:      i18n.T("verdict"),
	alarm.EventClosed:       i18n.T("closed"),
	alarm.EventReminder:     i18n.T("told once more"),
	alarm.EventEscalated:    i18n.T("passed on to more people"),
	alarm.EventNoted:        i18n.T("note"),
	alarm.EventLowered:      i18n.T("less urgent"),
	alarm.EventJoined:       i18n.T("found over another path too"),
	"output.written":        i18n.T("output switched"),
	"signal.written":        i18n.T("set by hand"),
	"signal.refused":        i18n.T("not set: refused"),
	"signal.failed":         i18n.T("not set: failed"),
	"drill.started":         i18n.T("drill begun"),
	"drill.ended":           i18n.T("drill ended"),
	"delivered":             i18n.T("delivered"),
}

// eventWord is what happened; a type that has no words is said as it is.
func eventWord(kind string, l i18n.Lang) string {
	if words, ok := eventWords[kind]; ok {
		return l.Say(words.Format)
	}
	return kind
}

// viaWords say through what somebody acted.
var viaWords = map[string]i18n.Text{
	"console": i18n.T("on the page"),
	"api":     i18n.T("by a program"),
	"cli":     i18n.T("on the gateway"),
	"link":    i18n.T("by the link in the message"),
	"uplink":  i18n.T("by a platform"),
	ViaCamera: i18n.T("by the camera"),
}

// markMood is how an alarm of a level is coloured, whatever became of it.
func markMood(level rules.Level) mood {
	return moodOf(alarm.Alarm{Level: level, State: alarm.Unacknowledged})
}

// stateWord says where an alarm stands, in the words of the people on duty.
func stateWord(a alarm.Alarm) i18n.Text {
	switch a.State {
	case alarm.Unacknowledged:
		return i18n.T("nobody has answered yet")
	case alarm.Acknowledged:
		return i18n.T("%s is on it", a.AcknowledgedBy)
	case alarm.Returned:
		return i18n.T("over, but nobody has answered")
	case alarm.Latched:
		return i18n.T("over, waits for reset")
	default:
		return i18n.T("closed")
	}
}

// choice is one of the things that a person may say.
type choice struct {
	Value string // as it is sent
	Text  i18n.Text
	Word  string // Text in the language of the page
}

// verdictWords are what an alarm may have been. The causes of a false one are those that homes know: the report counts them.
var verdictWords = []choice{
	{Value: "real", Text: i18n.T("real: there was a danger")},
	{Value: "false:cooking", Text: i18n.T("false: fumes of cooking")},
	{Value: "false:steam", Text: i18n.T("false: steam")},
	{Value: "false:smoking", Text: i18n.T("false: somebody smoked")},
	{Value: "false:incense", Text: i18n.T("false: incense or mosquito coil")},
	{Value: "false:dust", Text: i18n.T("false: dust")},
	{Value: "false:insect", Text: i18n.T("false: an insect")},
	{Value: "false:works", Text: i18n.T("false: works in the house")},
	{Value: "false:mistake", Text: i18n.T("false: set off by mistake")},
	{Value: "false:detector", Text: i18n.T("false: the detector itself")},
	{Value: "false:unknown", Text: i18n.T("false: nobody knows why")},
	{Value: "fault", Text: i18n.T("a fault")},
	{Value: "test", Text: i18n.T("a test")},
	{Value: "drill", Text: i18n.T("a drill")},
}

// verdicts are verdictWords in a language.
func verdicts(l i18n.Lang) []choice {
	list := make([]choice, len(verdictWords))
	for i, c := range verdictWords {
		c.Word = l.Say(c.Text.Format)
		list[i] = c
	}
	return list
}

// verdictWord is what an alarm was, for people; a cause that is none of ours is said as it was given.
func verdictWord(verdict string, l i18n.Lang) string {
	for _, c := range verdictWords {
		if c.Value == verdict {
			return l.Say(c.Text.Format)
		}
	}
	if cause, ok := strings.CutPrefix(verdict, "false:"); ok {
		return l.Say("false: %s", cause)
	}
	return verdict
}

// reasonWords say why there is no reading, or why it is in doubt.
var reasonWords = map[drivers.Reason]i18n.Text{
	drivers.Timeout:     i18n.T("no answer"),
	drivers.CRC:         i18n.T("damaged on the wire"),
	drivers.Exception:   i18n.T("refused by the device"),
	drivers.Offline:     i18n.T("not connected"),
	drivers.Stale:       i18n.T("out of date"),
	drivers.Sentinel:    i18n.T("the device has no value"),
	drivers.Range:       i18n.T("not plausible"),
	drivers.Decode:      i18n.T("not readable"),
	drivers.DeviceFault: i18n.T("device fault"),
	drivers.Disabled:    i18n.T("out of service"),
}

// outcomeWords say what became of a notification.
var outcomeWords = map[string]i18n.Text{
	"accepted": i18n.T("delivered"),
	"retry":    i18n.T("will be tried again"),
	"never":    i18n.T("not delivered"),
}

// outcomeWord is what became of a notification, in a language.
func outcomeWord(outcome string, l i18n.Lang) string {
	if words, ok := outcomeWords[outcome]; ok {
		return l.Say(words.Format)
	}
	return outcome
}

// componentWords name the parts of the gateway that are no endpoint, uplink or channel.
var componentWords = map[string]i18n.Text{
	"store":   i18n.T("journal"),
	"console": i18n.T("console"),
	"hub":     i18n.T("core"),
	"clock":   i18n.T("Clock"),
	"duty":    i18n.T("People on duty"),

	"certificate": i18n.T("certificate"),
}

// component is the name of a part of the gateway for people.
func component(name string, l i18n.Lang) string {
	if words, ok := componentWords[name]; ok {
		return l.Say(words.Format)
	}
	if id, ok := strings.CutPrefix(name, "heartbeat "); ok {
		return l.Say("Heartbeat %s", id)
	}
	return name
}

// pair are the words for 0 and 1 of a state, and which of the two asks to be looked at.
type pair struct {
	off, on i18n.Text
	alert   int // 0 or 1; never for neither
}

const never = -1

var (
	detects = pair{i18n.T("normal"), i18n.T("triggered"), 1}
	acts    = pair{i18n.T("inactive"), i18n.T("active"), never}
)

// stateWords are the words of those states that detect something, or have words of their own; all others are active or
// inactive, which promises nothing about what an installer wired.
var stateWords = map[string]pair{
	"smoke": detects, "heat": detects, "flame": detects, "call_point": detects, "fire_panel_alarm": detects,
	"gas_alarm": detects, "co_alarm": detects, "arc_fault": detects, "leak": detects, "sos": detects,
	"tamper": detects, "fault": detects,
	"battery_low": {i18n.T("normal"), i18n.T("low"), 1},
	"end_of_life": {i18n.T("normal"), i18n.T("reached"), 1},
	"mains":       {i18n.T("no power"), i18n.T("power on"), 0},
	"breaker":     {i18n.T("switched off"), i18n.T("switched on"), never},
}

// alerts tells whether a value is a state that asks to be looked at.
func (s Signal) alerts(v float64) bool {
	words, ok := stateWords[s.Kind]
	return ok && s.Form == drivers.State && words.alert >= 0 && v == float64(words.alert)
}

// say is a value of the signal for people, without its unit.
func (s Signal) say(v float64, l i18n.Lang) string {
	switch {
	case s.Label != "":
		return s.Label
	case s.Form == drivers.State:
		words, ok := stateWords[s.Kind]
		if !ok {
			words = acts
		}
		if v == 0 {
			return l.Say(words.off.Format)
		}
		return l.Say(words.on.Format)
	default:
		return number(v)
	}
}

// number writes a value with as many digits as a person wants to read: three or four that matter.
func number(v float64) string {
	decimals := 3
	switch size := math.Abs(v); {
	case size >= 1000:
		decimals = 0
	case size >= 100:
		decimals = 1
	case size >= 1:
		decimals = 2
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}
