package monthly

import (
	"time"

	"embergate/gateway/duty"
	"embergate/rules"
)

// Report is a month of a home.
type Report struct {
	Site         Site           `json:"site"`
	From         time.Time      `json:"from"`
	To           time.Time      `json:"to"` // excluded
	Made         time.Time      `json:"made"`
	Whole        bool           `json:"whole"` // the month is over
	Availability []Availability `json:"availability"`
	Average      *float64       `json:"average"` // availability over all devices; null where nothing is known
	Alarms       []ClassCount   `json:"alarms"`
	Open         int            `json:"open"` // of the alarms raised in the month
	Answers      Answers        `json:"answers"`
	False        []FalseDevice  `json:"false"`
	FalseHours   [24]int        `json:"false_hours"` // false alarms by the hour of the day
	FalseRate    *float64       `json:"false_rate"`  // of those with a verdict real or false
	Drills       []Happening    `json:"drills"`
	Tests        []Happening    `json:"tests"` // zones that were tested on foot
	HandOvers    int            `json:"hand_overs"`
	Checks       Checks         `json:"checks"`
	Hazards      Hazards        `json:"hazards"`
	Coverage     Coverage       `json:"coverage"`
}

// Availability is how well one device could be reached.
type Availability struct {
	Device string   `json:"device"`
	Name   string   `json:"name"`
	Place  string   `json:"place"`
	Ratio  *float64 `json:"ratio"` // null: nothing is known
	Uptime
}

// ClassCount are the alarms of a class by verdict; faults and notices have none.
type ClassCount struct {
	Class rules.Class `json:"class"`
	Total int         `json:"total"`
	Real  int         `json:"real"`
	False int         `json:"false"`
	Drill int         `json:"drill"`
	Test  int         `json:"test"`
	Fault int         `json:"fault"`
	None  int         `json:"none"` // without a verdict
}

// Answers is how fast alarms and pre-alarms were acknowledged for the first time; drills and tests are not among them.
type Answers struct {
	Alarms   int     `json:"alarms"`
	Answered int     `json:"answered"`
	Median   float64 `json:"median_s"`
	P90      float64 `json:"p90_s"`
	Longest  float64 `json:"longest_s"`
	Minute   int     `json:"within_a_minute"`
}

// FalseDevice is a device that gave false alarms.
type FalseDevice struct {
	Device string         `json:"device"`
	Name   string         `json:"name"`
	Place  string         `json:"place"`
	Count  int            `json:"count"`
	Causes map[string]int `json:"causes"` // cooking, dust, … as in the verdict
}

// Happening is something that was held, with what the journal says of it.
type Happening struct {
	Time time.Time `json:"time"`
	By   string    `json:"by"`
	Note string    `json:"note"`
}

// Checks are the duty checks.
type Checks struct {
	Asked    int     `json:"asked"`
	Answered int     `json:"answered"`
	Missed   int     `json:"missed"`
	Median   float64 `json:"median_s"` // to the answer
}

// Hazards are those of the month.
type Hazards struct {
	Found   int      `json:"found"`
	Closed  int      `json:"closed"`
	Open    int      `json:"open"` // at its end, those that wait for a second person included
	Overdue int      `json:"overdue"`
	List    []Hazard `json:"list"`
}

// Hazard is one line of the list.
type Hazard struct {
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Place    string           `json:"place"`
	Owner    string           `json:"owner"`
	Major    bool             `json:"major"`
	State    duty.HazardState `json:"state"`
	FoundAt  time.Time        `json:"found_at"`
	Due      time.Time        `json:"due"`
	ClosedAt *time.Time       `json:"closed_at"`
	ClosedBy string           `json:"closed_by"`
	Overdue  bool             `json:"overdue"`
}
