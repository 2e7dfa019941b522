package mqtt

import (
	"encoding/json"
	"math"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

// states is the latest of every device, and of the list of alarms. It is as large as the configuration.
type states struct {
	mu      sync.Mutex
	devices map[string]*state
	alarms  []alarm.Alarm
	listed  bool // alarms are known
	changed bool // alarms were not sent yet
}

// state is the latest of one device.
type state struct {
	name, zone string
	online     *bool // nil where it is not known
	time       time.Time
	signals    map[string]value
	news       news
	sent       time.Time
}

// value is the latest of one signal.
type value struct {
	drivers.Reading
	of drivers.Signal
}

// news is what a device has to tell since its state was sent.
type news uint8

const (
	nothing   news = iota
	again          // the same values, later
	moved          // other numbers
	different      // another state or code, quality or reason
)

// Unchanged values are sent as often as this, or as numbers where that is less; and what is different, at most so often.
const (
	sameEvery = time.Minute
	leastGap  = time.Second
)

// take takes the readings of one device.
func (st *states) take(d drivers.Device, batch []drivers.Reading) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.devices[d.ID]
	if s == nil {
		s = &state{signals: map[string]value{}}
		st.devices[d.ID] = s
	}
	s.name, s.zone = d.Name, d.Zone
	for _, r := range batch {
		id, own := strings.CutPrefix(r.Signal, d.ID+".")
		if !own {
			continue
		}
		if r.Time.After(s.time) {
			s.time = r.Time
		}
		if id == drivers.OnlineSignal {
			s.setOnline(r)
			continue
		}
		v, known := s.signals[id]
		if !known {
			v.of = signalOf(d, id)
		}
		if r.Quality != drivers.Bad && (math.IsNaN(r.Value) || math.IsInf(r.Value, 0)) {
			r.Value, r.Quality, r.Reason = 0, drivers.Bad, drivers.Decode // JSON has no word for it
		}
		r.Raw, r.Detail = nil, ""
		switch {
		case !known || r.Quality != v.Quality || r.Reason != v.Reason || r.Value != v.Value && v.of.Of().Form != drivers.Number:
			s.news = different
		case r.Value != v.Value:
			s.news = max(s.news, moved)
		default:
			s.news = max(s.news, again)
		}
		v.Reading = r
		s.signals[id] = v
	}
}

func (s *state) setOnline(r drivers.Reading) {
	s.news = different // it is told when it changes
	s.online = nil
	if r.Quality == drivers.Good {
		online := r.Value == 1
		s.online = &online
	}
}

func signalOf(d drivers.Device, id string) drivers.Signal {
	for _, s := range d.Signals {
		if s.ID == id {
			return s
		}
	}
	return drivers.Signal{ID: id}
}

func (st *states) setAlarms(open []alarm.Alarm) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.alarms, st.listed, st.changed = open, true, true
}

// renew makes everything be sent again, as to a broker that may have forgotten it.
func (st *states) renew() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.changed = st.listed
	for _, s := range st.devices {
		s.news, s.sent = different, time.Time{}
	}
}

// message is what is to be retained under a topic below the uplink's.
type message struct {
	topic string
	body  []byte
}

// due takes what is to be sent now, at most so many messages.
func (st *states) due(now time.Time, every time.Duration, most int, unit func(drivers.Signal) string) (due []message) {
	st.mu.Lock()
	defer st.mu.Unlock()
	due = st.list()
	for id, s := range st.devices {
		if len(due) >= most {
			break
		}
		since := now.Sub(s.sent)
		if s.news == different && since >= leastGap || s.news == moved && since >= every || s.news == again && since >= max(every, sameEvery) {
			s.news, s.sent = nothing, now
			due = append(due, message{"state/" + id, s.encode(id, unit)})
		}
	}
	return due
}

// takeList takes the list of alarms, where it was not sent yet.
func (st *states) takeList() []message {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.list()
}

// list is takeList, of who holds mu.
func (st *states) list() []message {
	if !st.changed {
		return nil
	}
	st.changed = false
	return []message{{"alarms", listed(st.alarms)}}
}

// listed is the list of alarms as JSON.
func listed(open []alarm.Alarm) []byte {
	list := make([]alarm.Alarm, len(open))
	for i, a := range open {
		if a.Value != nil && (math.IsNaN(*a.Value) || math.IsInf(*a.Value, 0)) { // JSON has no word for it
			a.Value = nil
		}
		list[i] = a
	}
	body, err := json.Marshal(list)
	if err != nil {
		return []byte("null") // the list is not known
	}
	return body
}

// deviceState is the body of a device's state.
type deviceState struct {
	Device  string                 `json:"device"`
	Name    string                 `json:"name"`
	Zone    string                 `json:"zone"`
	Time    time.Time              `json:"time"`   // of the latest reading
	Online  *bool                  `json:"online"` // null: not known, as while its connection is lost
	Signals map[string]signalState `json:"signals"`
}

// signalState is one reading. A bad one has no value, and says why.
type signalState struct {
	Value   *float64       `json:"value,omitempty"`
	Unit    string         `json:"unit,omitempty"`
	Quality string         `json:"quality"`
	Reason  drivers.Reason `json:"reason,omitempty"`
	Time    time.Time      `json:"time"`
}

func (s *state) encode(id string, unit func(drivers.Signal) string) []byte {
	body := deviceState{Device: id, Name: s.name, Zone: s.zone, Time: s.time.UTC(), Online: s.online, Signals: make(map[string]signalState, len(s.signals))}
	for name, v := range s.signals {
		one := signalState{Quality: v.Quality.String(), Reason: v.Reason, Time: v.Time.UTC()}
		if v.Quality != drivers.Bad {
			number := v.Value
			one.Value, one.Unit = &number, unit(v.of)
		}
		body.Signals[name] = one
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil // of a time beyond the year 9999: nothing is retained rather than something wrong
	}
	return data
}
