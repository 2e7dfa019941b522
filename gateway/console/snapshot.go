package console

import (
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Snapshot is everything that the console shows, as it was at one time. It is immutable: whoever made it changes it no
// more, and whoever reads it keeps no lock. A zero time.Time is a time that is not known, or has not come.
type Snapshot struct {
	Time    time.Time // when it was made, in the site's time zone; all times on the page are shown in that zone
	Started time.Time
	Version string
	Seq     int64 // the last event of the journal that is part of this state; 0 before the first

	Site       Site
	Zones      []Zone
	Endpoints  []Endpoint
	Devices    []Device
	Alarms     []alarm.Alarm // open, in the order in which they are shown
	Components []Component
	Uplinks    []Uplink
	Channels   []Channel
	Phone      []PhoneMessage // newest first, at most 50
	Tests      []ZoneTest     // zones under test
	Drill      *Drill         // nil: none is on
	Check      *DutyCheck     // that waits for its answer; nil: none does
	Duty       *DutyState     // nil: there is no roster
	Health     Health
}

// Site is the facility.
type Site struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Region  string `json:"region"`  // GB/T 2260 code
	Contact string `json:"contact"` // who answers there
	Phone   string `json:"phone"`
	Beds    int    `json:"beds"`

	Timezone string `json:"timezone"` // Asia/Shanghai
}

// Zone is a place in the site's tree.
type Zone struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Path string `json:"path"` // 一层 / 厨房
	In   string `json:"in"`   // the zone around it; "" for a root

	Residents int    `json:"residents"`        // people who live there
	Camera    string `json:"camera,omitempty"` // address of its live picture
}

// Endpoint is one wire or connection.
type Endpoint struct {
	ID       string    `json:"id"`
	Protocol string    `json:"protocol"`
	URL      string    `json:"url"` // without secrets
	Up       bool      `json:"up"`
	Since    time.Time `json:"since,omitzero"`
	Error    string    `json:"error,omitempty"` // in English, for the installer

	Unclaimed []Unclaimed `json:"unclaimed,omitempty"` // devices that nobody configured

	Load         *float64      `json:"load"` // share of the time that the wire is in use; null where nobody measures it
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Certificate is one that ends soon.
type Certificate struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// Unclaimed is a device that publishes under a watched topic and that nobody configured.
type Unclaimed struct {
	Topic   string `json:"topic"`
	Profile string `json:"profile,omitempty"` // the device model that would fit
}

// Device is an instrument with what it says.
type Device struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Zone     string    `json:"zone"` // id
	Endpoint string    `json:"endpoint"`
	Online   *bool     `json:"online"` // nil: not known yet
	Since    time.Time `json:"since,omitzero"`
	Signals  []Signal  `json:"-"`

	Profile string        `json:"profile,omitempty"` // the device model
	Every   time.Duration `json:"-"`                 // between two polls; 0 where it speaks by itself
	Errors  []ErrorCount  `json:"errors,omitempty"`
}

// ErrorCount is how often a device gave no reading for one reason, since the start.
type ErrorCount struct {
	Reason drivers.Reason `json:"reason"`
	Count  int64          `json:"count"`
}

// Signal is one quantity of a device with its latest reading.
type Signal struct {
	ID      string // of the signal alone, without its device
	Name    string
	Kind    string
	Class   string
	Unit    string
	Form    drivers.Form
	Value   float64 // in Unit; means nothing where Quality is Bad
	Quality drivers.Quality
	Reason  drivers.Reason
	Detail  string    // in English, for the installer
	Time    time.Time // of the last good value; zero where there never was one
	Since   time.Time // of this quality
	Last    *float64  // the last good value where Quality is Bad; nil where there never was one
	Label   string    // the word of an enum, or the names of the flags that are set; "" where a number says it all
	Output  *Output   // nil: nobody may write it
}

// Component is a part of the gateway that works, or does not: an endpoint, an uplink, a channel, the store, the hub.
type Component struct {
	Name    string // store; for what has an id, with its sort before it: endpoint bus-1, uplink platform, channel sms
	Working bool
	Since   time.Time
	Why     i18n.Text // why it does not work; empty where it does
}

// Uplink is a way to a platform, with its queue.
type Uplink struct {
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`
	Working      bool      `json:"working"`
	Since        time.Time `json:"since,omitzero"`
	LastError    string    `json:"last_error,omitempty"`
	LastSuccess  time.Time `json:"last_success,omitzero"`
	QueueRecords int64     `json:"records"`
	QueueOldest  time.Time `json:"oldest,omitzero"`   // of the oldest record that waits
	Dropped      int64     `json:"dropped"`           // records given up since the start
	Refused      int64     `json:"refused,omitempty"` // lines that the platform refused since the start
	Refusal      string    `json:"refusal,omitempty"` // its words for the latest
}

// Channel is a way to reach people.
type Channel struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`
	Working     bool      `json:"working"`
	Since       time.Time `json:"since,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	Pending     int       `json:"pending"`
}

// PhoneMessage is a notification as it went out to a person.
type PhoneMessage struct {
	Time    time.Time
	Channel string
	Text    string
	Outcome string // accepted, retry or never
	Event   string // type of the event: alarm.raised
	Late    bool   // much later than what it tells of
	Drill   bool
}
