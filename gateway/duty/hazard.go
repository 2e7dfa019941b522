package duty

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// HazardConfig is `duty.hazards`: what does not go away becomes a hazard (隐患), which somebody owns until a second person
// has seen that it is gone.
type HazardConfig struct {
	After time.Duration `yaml:"after"` // a fault that is open for so long becomes a hazard; 0: only people enter them
	Due   time.Duration `yaml:"due"`   // time to put it right, where nothing else is said
	Owner string        `yaml:"owner"` // a person's id or a role; "": nobody yet
}

// UsualHazards is what holds where nothing is said.
var UsualHazards = HazardConfig{After: 24 * time.Hour, Due: 72 * time.Hour}

func readHazards(s conf.Section, c HazardConfig, targets []string) {
	if c.After < 0 {
		s.At("after").Problem("%q is not a duration; write it as 500ms, 2s, 5m or 1h", c.After)
	}
	if c.Due < time.Hour {
		s.At("due").Problem("the time to put a hazard right is at least %s", time.Hour)
	}
	if c.Owner != "" && !slices.Contains(targets, c.Owner) {
		s.At("owner").NotOneOf(c.Owner, targets)
	}
}

// HazardState is how far a hazard is.
type HazardState string

// The states: open ─▶ fixed ─▶ closed by a second person, or back to open.
const (
	HazardOpen   HazardState = "open"
	HazardFixed  HazardState = "fixed"  // put right, as its owner says; nobody else has seen it
	HazardClosed HazardState = "closed" // a second person has seen that it is gone
)

// Standing says how far a hazard in this state is.
func (s HazardState) Standing(overdue bool) i18n.Text {
	switch {
	case overdue:
		return i18n.T("overdue")
	case s == HazardFixed:
		return i18n.T("put right, not yet seen by a second person")
	case s == HazardClosed:
		return i18n.T("closed")
	default:
		return i18n.T("open")
	}
}

// Where a hazard comes from.
const (
	FromFault      = "fault"
	FromInspection = "inspection"
)

// Hazard is something that will let a fire begin, spread or go unseen, until somebody puts it right.
type Hazard struct {
	ID       string       `json:"id"`
	Title    string       `json:"title"`
	Source   string       `json:"source"`          // fault or inspection
	Alarm    string       `json:"alarm,omitempty"` // id of the fault that it comes from
	Zone     string       `json:"zone"`
	ZonePath string       `json:"zone_path"`
	Device   string       `json:"device,omitempty"`
	Major    bool         `json:"major"` // 重大隐患
	State    HazardState  `json:"state"`
	Owner    string       `json:"owner"` // a person's id or a role
	FoundAt  time.Time    `json:"found_at"`
	FoundBy  string       `json:"found_by"` // "": the gateway
	Due      time.Time    `json:"due"`
	FixedAt  *time.Time   `json:"fixed_at"`
	FixedBy  string       `json:"fixed_by"`
	ClosedAt *time.Time   `json:"closed_at"`
	ClosedBy string       `json:"closed_by"`
	Photos   []string     `json:"photos"` // names of pictures
	Notes    []HazardNote `json:"notes"`
	Told     bool         `json:"told"` // that it is overdue
}

// HazardNote is what somebody said or did.
type HazardNote struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Act  string    `json:"act"` // opened, changed, noted, fixed, rejected, closed
	Text string    `json:"text"`
}

// Overdue tells whether it should have been put right by now.
func (h *Hazard) Overdue(now time.Time) bool { return h.State == HazardOpen && now.After(h.Due) }

const (
	longestTitle = 100
	mostNotes    = 200
	mostPhotos   = 8
)

// Hazards are those known, by the order in which they were found. The type is pure.
type Hazards struct {
	plan *Plan
	list []*Hazard
}

// NewHazards takes what is stored.
func NewHazards(p *Plan, stored []Hazard) *Hazards {
	hz := &Hazards{plan: p}
	for i := range stored {
		hz.list = append(hz.list, &stored[i])
	}
	slices.SortStableFunc(hz.list, func(a, b *Hazard) int { return cmp.Compare(a.ID, b.ID) })
	return hz
}

// List are copies of all, the urgent ones first: those overdue, then open, fixed and closed, each by its due time.
func (hz *Hazards) List(now time.Time) []Hazard {
	list := make([]Hazard, len(hz.list))
	for i, h := range hz.list {
		list[i] = *h
	}
	order := []HazardState{HazardOpen, HazardFixed, HazardClosed}
	slices.SortStableFunc(list, func(a, b Hazard) int {
		if c := cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)); c != 0 {
			return c
		}
		if a.State == HazardClosed {
			return b.ClosedAt.Compare(*a.ClosedAt)
		}
		return a.Due.Compare(b.Due)
	})
	return list
}

func (hz *Hazards) find(id string) (*Hazard, error) {
	for _, h := range hz.list {
		if h.ID == id {
			return h, nil
		}
	}
	return nil, &alarm.Refused{Cause: alarm.ErrNotFound, Text: i18n.T("there is no hazard %q", id)}
}

// NewHazard is what somebody found: title, zone, device, major, owner and due may be set; the rest is filled in.
func (hz *Hazards) NewHazard(now time.Time, h Hazard, by string) (Hazard, error) {
	h.Title = strings.TrimSpace(h.Title)
	switch {
	case h.Title == "" || len([]rune(h.Title)) > longestTitle:
		return Hazard{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("say in 1 to %d characters what the hazard is", longestTitle)}
	case by == "":
		return Hazard{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("say who does this")}
	case !h.Due.IsZero() && h.Due.Before(now):
		return Hazard{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("the due time is over already")}
	case h.Owner != "" && len(hz.plan.Reaches(h.Owner, now)) == 0:
		return Hazard{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("nobody is known as %q", h.Owner)}
	}
	h.Source = FromInspection
	return hz.add(now, h, by), nil
}

func (hz *Hazards) add(now time.Time, h Hazard, by string) Hazard {
	h.ID = fmt.Sprintf("hazard-%x", now.UnixMilli())
	for n := 2; slices.ContainsFunc(hz.list, func(o *Hazard) bool { return o.ID == h.ID }); n++ {
		h.ID = fmt.Sprintf("hazard-%x-%d", now.UnixMilli(), n)
	}
	h.State, h.FoundAt, h.FoundBy = HazardOpen, now, by
	if h.Due.IsZero() {
		h.Due = now.Add(hz.plan.Hazards.Due)
	}
	if h.Owner == "" {
		h.Owner = hz.plan.Hazards.Owner
	}
	h.Notes = []HazardNote{{At: now, By: by, Act: "opened", Text: h.Title}}
	hz.list = append(hz.list, &h)
	return h
}

// Faults answers the hazards that faults have become by now: those open for long that none stands for yet. Open is how long
// an alarm has been, by a clock that is never set.
func (hz *Hazards) Faults(now time.Time, alarms []alarm.Alarm, open func(alarm.Alarm) time.Duration) (made []Hazard) {
	if hz.plan.Hazards.After == 0 {
		return nil
	}
	for _, a := range alarms {
		if a.Level != "fault" || a.Drill || a.Test || !a.Active() || open(a) < hz.plan.Hazards.After {
			continue
		}
		if slices.ContainsFunc(hz.list, func(h *Hazard) bool { return h.Alarm == a.ID }) {
			continue
		}
		made = append(made, hz.add(now, Hazard{
			Title: strings.TrimSpace(a.DeviceName + " " + a.Name), Source: FromFault, Alarm: a.ID, Zone: a.Zone, ZonePath: a.ZonePath, Device: a.Device,
		}, ""))
	}
	return made
}

// Overdue answers the hazards that have come to be overdue, each once.
func (hz *Hazards) Overdue(now time.Time) (late []Hazard) {
	for _, h := range hz.list {
		if h.Overdue(now) && !h.Told {
			h.Told = true
			late = append(late, *h)
		}
	}
	return late
}

// HazardAct is what somebody does to a hazard; what is empty stays.
type HazardAct struct {
	Act   string    // change, note, fix, reject, close
	By    string    // name of the person
	Note  string    // reject and note need one
	Owner string    // change
	Due   time.Time // change
	Major *bool     // change
	Photo string    // name of a picture, with any act
}

// Do does it, and answers the hazard as it is then. Only somebody else than who put it right may close it.
func (hz *Hazards) Do(now time.Time, id string, act HazardAct) (Hazard, error) {
	h, err := hz.find(id)
	if err != nil {
		return Hazard{}, err
	}
	if err := hz.allowed(now, h, act); err != nil {
		return Hazard{}, err
	}
	did := map[string]string{"change": "changed", "note": "noted", "fix": "fixed", "reject": "rejected", "close": "closed"}[act.Act]
	switch act.Act {
	case "change":
		if act.Owner != "" {
			h.Owner = act.Owner
		}
		if !act.Due.IsZero() {
			h.Due, h.Told = act.Due, false
		}
		if act.Major != nil {
			h.Major = *act.Major
		}
	case "fix":
		h.State, h.FixedAt, h.FixedBy = HazardFixed, &now, act.By
	case "reject":
		h.State, h.FixedAt, h.FixedBy = HazardOpen, nil, ""
	case "close":
		h.State, h.ClosedAt, h.ClosedBy = HazardClosed, &now, act.By
	}
	if act.Photo != "" {
		h.Photos = append(h.Photos, act.Photo)
	}
	h.Notes = append(h.Notes, HazardNote{At: now, By: act.By, Act: did, Text: act.Note})
	return *h, nil
}

func (hz *Hazards) allowed(now time.Time, h *Hazard, act HazardAct) error {
	input := func(format string, args ...any) error {
		return &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T(format, args...)}
	}
	state := func(format string, args ...any) error {
		return &alarm.Refused{Cause: alarm.ErrState, Text: i18n.T(format, args...)}
	}
	needs := map[string]HazardState{"change": HazardOpen, "fix": HazardOpen, "reject": HazardFixed, "close": HazardFixed}[act.Act]
	switch {
	case act.Act != "note" && needs == "":
		return input("a hazard is changed, noted, fixed, rejected or closed")
	case strings.TrimSpace(act.By) == "":
		return input("say who does this")
	case h.State == HazardClosed:
		return state("the hazard is closed")
	case needs == HazardOpen && h.State != HazardOpen:
		return state("the hazard is put right already, and waits for a second person")
	case needs == HazardFixed && h.State != HazardFixed:
		return state("the hazard is not put right yet")
	case act.Act == "close" && act.By == h.FixedBy:
		return state("a second person closes it: %s has put it right", h.FixedBy)
	case (act.Act == "note" || act.Act == "reject") && strings.TrimSpace(act.Note) == "" && act.Photo == "":
		return input("a note is missing")
	case act.Owner != "" && len(hz.plan.Reaches(act.Owner, now)) == 0:
		return input("nobody is known as %q", act.Owner)
	case !act.Due.IsZero() && act.Due.Before(now):
		return input("the due time is over already")
	case len(h.Notes) >= mostNotes:
		return state("a hazard holds %d notes at most", mostNotes)
	case act.Photo != "" && len(h.Photos) >= mostPhotos:
		return state("a hazard holds %d pictures at most", mostPhotos)
	}
	return nil
}
