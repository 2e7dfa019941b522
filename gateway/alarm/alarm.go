// Package alarm is the state machine of alarms after ISA-18.2 and the contract, section 4. It is pure: it is told the
// time and what the rules found, and answers with events. It neither sleeps, logs nor stores.
package alarm

import (
	"time"

	"embergate/rules"
)

// State is where an alarm stands between its first trigger and its verdict.
type State string

// The states of the contract, section 4.
const (
	Unacknowledged State = "unacknowledged" // active, nobody has taken it
	Acknowledged   State = "acknowledged"   // active, somebody is on it
	Returned       State = "returned"       // cleared before anyone acknowledged it
	Latched        State = "latched"        // cleared and acknowledged, waits for reset
	Closed         State = "closed"
)

// Alarm is one occurrence of a rule at one source, from raised to closed, in the shape of the contract, section 5.
type Alarm struct {
	ID             string      `json:"id"`
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
	Signal         string      `json:"signal"` // device.signal; "" for an alarm of a zone
	Value          *float64    `json:"value"`  // of the latest good reading; null where there is none
	Unit           string      `json:"unit"`
	Quality        string      `json:"quality"`
	RaisedAt       time.Time   `json:"raised_at"`
	AcknowledgedAt *time.Time  `json:"acknowledged_at"`
	AcknowledgedBy string      `json:"acknowledged_by"`
	ClearedAt      *time.Time  `json:"cleared_at"`
	ClosedAt       *time.Time  `json:"closed_at"`
	Count          int         `json:"count"` // triggers since raised, the first included
	Drill          bool        `json:"drill"`
	Verdict        string      `json:"verdict"`
	Message        string      `json:"message"`
}

// Open tells whether the alarm still asks for something of somebody.
func (a Alarm) Open() bool { return a.State != Closed }

// Active tells whether its condition still holds, as far as is known.
func (a Alarm) Active() bool { return a.State == Unacknowledged || a.State == Acknowledged }

// Event is one line of the journal: what happened to an alarm, or to the gateway, and through whom.
type Event struct {
	Seq   int64     `json:"seq"`  // given by the journal, from 1
	ID    string    `json:"id"`   // identity of the event in every message; a repeat is recognised by it
	Time  time.Time `json:"time"` //
	Type  string    `json:"type"` // alarm.raised, … as in the contract, section 6
	Alarm *Alarm    `json:"alarm,omitempty"`
	By    string    `json:"by,omitempty"`
	Via   string    `json:"via,omitempty"` // console, api, link, cli
	Note  string    `json:"note,omitempty"`
}
