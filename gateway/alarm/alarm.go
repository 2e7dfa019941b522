// Package alarm is the state machine of alarms after ISA-18.2 and the contract, section 4. It is pure: it is told the
// time and what the rules found, and answers with events. It neither sleeps, logs nor stores.
//
//	                   acknowledge
//	raise ─▶ unacknowledged ─────▶ acknowledged
//	            │      ▲              │
//	      clear │      │ trigger      │ clear
//	            ▼      │ (counted)    ▼
//	          returned ┴────────── latched ─ reset ─▶ closed
//	               acknowledge ──▶ (or closed at once where neither latching nor shelved)
//
// In doubt it raises sooner and clears later. An Unknown neither starts nor ends anything: the time of an on-delay goes
// on under it, and the alarm is raised at the next True; the time of an off-delay stands still under it. A restart is
// time under Unknown that nobody measured, so both delays go on from where they stood.
package alarm

import (
	"errors"
	"fmt"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/rules"
)

// State is where an alarm stands between its first trigger and its verdict.
type State string

// The states of the contract, section 4.
const (
	Unacknowledged State = "unacknowledged" // active, nobody has taken it
	Acknowledged   State = "acknowledged"   // active, somebody is on it
	Returned       State = "returned"       // cleared before anyone acknowledged it
	Latched        State = "latched"        // cleared and acknowledged, waits for reset or for the end of its shelf
	Closed         State = "closed"
)

// Alarm is one occurrence of a rule at one source, from raised to closed, in the shape of the contract, section 5. What
// its pointers point to is never written again, so that a copy of it stays as it was.
type Alarm struct {
	ID             string      `json:"id"` // sorts in the order in which alarms were raised, whatever the clock said
	Rule           string      `json:"rule"`
	Name           string      `json:"name"`
	Class          rules.Class `json:"class"`
	Level          rules.Level `json:"level"`
	State          State       `json:"state"`
	Silenced       bool        `json:"silenced,omitempty"`
	ShelvedUntil   *time.Time  `json:"shelved_until"`
	Zone           string      `json:"zone"`
	ZonePath       string      `json:"zone_path"`
	Device         string      `json:"device"`
	DeviceName     string      `json:"device_name"`
	Signal         string      `json:"signal"`            // device.signal; "" for an alarm of a zone
	Sources        []string    `json:"sources,omitempty"` // the signals that found it, where there is more than one path to the detector
	Value          *float64    `json:"value"`             // of the latest good reading; null where there is none
	Unit           string      `json:"unit"`
	Quality        string      `json:"quality"` // of the latest reading; "" for an alarm of a zone
	RaisedAt       time.Time   `json:"raised_at"`
	AcknowledgedAt *time.Time  `json:"acknowledged_at"` // of the latest trigger; the journal has those before
	AcknowledgedBy string      `json:"acknowledged_by"`
	ClearedAt      *time.Time  `json:"cleared_at"`
	ClosedAt       *time.Time  `json:"closed_at"`
	Count          int         `json:"count"` // triggers since raised, the first included
	Drill          bool        `json:"drill"`
	Test           bool        `json:"test,omitempty"`      // raised in a zone in test mode: nothing of it leaves the site
	Unstable       bool        `json:"unstable,omitempty"`  // comes and goes: further triggers are only counted
	RuleGone       bool        `json:"rule_gone,omitempty"` // its rule is no longer in force: only a person can end it
	Verdict        string      `json:"verdict"`
	Message        string      `json:"message"`
	Notes          int         `json:"notes,omitempty"`  // what people added to it
	Photos         int         `json:"photos,omitempty"` // of them, with a picture
	Revision       int         `json:"revision"`         // events of this alarm so far
}

// Open tells whether the alarm still asks for something of somebody.
func (a Alarm) Open() bool { return a.State != Closed }

// Active tells whether its condition still holds, as far as is known.
func (a Alarm) Active() bool { return a.State == Unacknowledged || a.State == Acknowledged }

// WantsVerdict tells whether a person has yet to say what the alarm was. Faults and notices need no verdict; drills and
// tests are given theirs when they close.
func (a Alarm) WantsVerdict() bool {
	return a.Verdict == "" && !a.Active() && a.Class != "fault" && a.Class != "notice" &&
		a.Level != rules.LevelFault && a.Level != rules.LevelNotice
}

// Event is one line of the journal: what happened to an alarm, or to the gateway, and through whom.
type Event struct {
	Seq    int64     `json:"seq"`  // given by the journal, from 1
	ID     string    `json:"id"`   // identity of the event in every message; a repeat is recognised by it
	Time   time.Time `json:"time"` //
	Type   string    `json:"type"` // alarm.raised, … as in the contract, section 6
	Alarm  *Alarm    `json:"alarm,omitempty"`
	By     string    `json:"by,omitempty"`
	Second string    `json:"second,omitempty"` // the other person, where an act needs two
	Via    string    `json:"via,omitempty"`    // console, api, link, cli
	From   string    `json:"from,omitempty"`   // the account, and the address it came from
	Note   string    `json:"note,omitempty"`
	Photo  *Photo    `json:"photo,omitempty"` // that came with the note
}

// The types of events that the board gives.
const (
	EventRaised       = "alarm.raised"
	EventCounted      = "alarm.counted" // a new trigger of an alarm that had cleared, or a more urgent level
	EventLowered      = "alarm.lowered" // a less urgent level
	EventJoined       = "alarm.joined"  // the same is seen over another path, which its note names
	EventCleared      = "alarm.cleared"
	EventFaultRaised  = "fault.raised"  // as alarm.raised, where the level is fault
	EventFaultCleared = "fault.cleared" // as alarm.cleared, where the level is fault
	EventAcknowledged = "alarm.acknowledged"
	EventSilenced     = "alarm.silenced"
	EventReset        = "alarm.reset"
	EventShelved      = "alarm.shelved"
	EventUnshelved    = "alarm.unshelved"
	EventVerdict      = "alarm.verdict"
	EventClosed       = "alarm.closed"
	EventReminder     = "alarm.reminder"
	EventEscalated    = "alarm.escalated"
	EventNoted        = "alarm.noted" // somebody added a comment or a picture
)

// Condition is what the rules found at one source, at one time.
type Condition struct {
	Key         string          // rule@source: identity; one open alarm for each
	Rule        *rules.Rule     // For, Hold, Latch, Class, Level, ID
	When, Until rules.Value     // a When that is True goes before any Until
	HasUntil    bool            // the rule has an Until; without it a When that is False clears
	Least, Most rules.Level     // the alarm is at least as urgent as Least, at most as Most; "" is the rule's level
	Reading     drivers.Reading // the deciding signal's latest; zero for a zone's
	Retained    bool            // the reading only restores state: it begins and ends nothing (MQ05)

	Name, Message      string
	Zone, ZonePath     string
	Device, DeviceName string
	Signal, Unit       string
	Sources            []string // of the paths to one detector, those that find it now; nil where there is one path
	Drill, Test        bool     // Test: the zone is in test mode
}

// tagged tells whether what is found now is not meant.
func (c *Condition) tagged() bool { return c.Drill || c.Test }

// Act is who did something, through which channel, from which account and address, and what they said.
type Act struct{ By, Via, From, Note string }

// Why an act was refused, for callers that must tell: errors.Is(err, ErrState).
var (
	ErrNotFound = errors.New("no such alarm")
	ErrState    = errors.New("not in this state")
	ErrInput    = errors.New("something is missing or wrong") // who, a reason, an end, a second person, a verdict
)

// Refused is the error of an act that was not done; nothing has changed.
type Refused struct {
	Cause error     // ErrNotFound, ErrState or ErrInput
	Text  i18n.Text // for the person who tried
}

func (r *Refused) Error() string { return fmt.Sprintf("alarm: %s", r.Text) }

// Unwrap is the cause.
func (r *Refused) Unwrap() error { return r.Cause }

func refuse(cause error, format string, args ...any) error {
	return &Refused{cause, i18n.T(format, args...)}
}
