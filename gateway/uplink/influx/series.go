package influx

import (
	"math"
	"slices"
	"strconv"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

// Schema is the version of the series that a platform gets: their measurements, tags, fields and types. It changes with them;
// each version is described in gateway/testdata/schema-VERSION.txt.
const Schema = "1"

// classes are the measurements of readings, in the order of their lines.
var classes = []drivers.Class{drivers.Fire, drivers.Gas, drivers.Electrical, drivers.Water, drivers.Environment, drivers.DeviceClass}

// series is how one device's readings become lines: made once a device, so that a reading costs a comparison and its digits.
type series struct {
	signals []drivers.Signal // the device's, as they were; another list makes another series
	zone    string
	list    []field  // in the device's order
	heads   [][]byte // by class: fire,device=…,region=…,site=…,zone=…
}

// field is one signal within its line.
type field struct {
	key   string // device.signal
	class int    // index of classes
	name  []byte // name=
	form  drivers.Form
}

func newSeries(site, region string, d drivers.Device) *series {
	s := &series{signals: d.Signals, zone: d.Zone, heads: make([][]byte, len(classes)), list: make([]field, 0, len(d.Signals))}
	for i, class := range classes {
		head := appendName(nil, string(class))
		head = appendTag(head, "device", d.ID)
		head = appendTag(head, "region", region)
		head = appendTag(head, "site", site)
		s.heads[i] = appendTag(head, "zone", d.Zone)
	}
	for _, signal := range d.Signals {
		kind := signal.Of()
		class := slices.Index(classes, kind.Class)
		if class < 0 {
			continue // a kind that does not exist: the configuration was refused
		}
		s.list = append(s.list, field{d.Key(signal), class, append(appendName(nil, signal.ID), '='), kind.Form})
	}
	return s
}

// of tells whether the series is still that of the device.
func (s *series) of(d drivers.Device) bool {
	return s.zone == d.Zone && len(s.signals) == len(d.Signals) &&
		(len(s.signals) == 0 || &s.signals[0] == &d.Signals[0])
}

// append appends the lines of one batch, one a class and time, and tells how many. What is bad, not finite, without a
// time or not of the device is left out.
func (s *series) append(b []byte, batch []drivers.Reading) ([]byte, int) {
	present := make([]bool, len(classes))
	var room [64]int
	found := room[:0] // index in list, by reading of the batch; -1: it has no place in a line
	next := 0         // batches come in the device's order: to compare is cheaper than to look up
	for i := range batch {
		if next >= len(s.list) || s.list[next].key != batch[i].Signal {
			at := slices.IndexFunc(s.list, func(f field) bool { return f.key == batch[i].Signal })
			if at < 0 {
				found = append(found, -1)
				continue
			}
			next = at
		}
		if f := &s.list[next]; usable(&batch[i], f.form) {
			present[f.class] = true
			found = append(found, next)
		} else {
			found = append(found, -1)
		}
		next++
	}
	lines := 0
	for class := range classes {
		if present[class] {
			var n int
			b, n = s.appendClass(b, class, batch, found)
			lines += n
		}
	}
	return b, lines
}

// appendClass appends the lines of one class, of which the batch has something.
func (s *series) appendClass(b []byte, class int, batch []drivers.Reading, found []int) ([]byte, int) {
	lines := 0
	var when time.Time
	for i, at := range found {
		if at < 0 || s.list[at].class != class {
			continue
		}
		f, r := &s.list[at], &batch[i]
		if lines > 0 && when.Equal(r.Time) {
			b = append(b, ',')
		} else {
			if lines > 0 {
				b = appendTime(b, when)
			}
			b = append(append(b, s.heads[class]...), ' ')
			when = r.Time
			lines++
		}
		b = append(b, f.name...)
		if f.form == drivers.Number {
			b = appendFloat(b, r.Value)
		} else {
			b = append(strconv.AppendInt(b, int64(math.Round(r.Value)), 10), 'i')
		}
	}
	return appendTime(b, when), lines
}

func usable(r *drivers.Reading, form drivers.Form) bool {
	if r.Quality == drivers.Bad || !finite(r.Value) || !sendable(r.Time) {
		return false
	}
	return form == drivers.Number || math.Abs(r.Value) < 1<<63
}

// appendEvent appends the point of an event of an alarm; other events have none. Its time is the event's to the
// microsecond, and below that its place in the journal: two events of one alarm at one instant stay two points, and a
// repeat of one event is the same point.
func appendEvent(b []byte, site, region string, e alarm.Event) []byte {
	if e.Alarm == nil {
		return b
	}
	a := *e.Alarm
	fields := []Field{String("event", e.Type), String("state", string(a.State)), String("id", a.ID)}
	for _, f := range []Field{String("signal", a.Signal), String("message", a.Message), String("by", e.By), String("verdict", a.Verdict)} {
		if f.text != "" {
			fields = append(fields, f)
		}
	}
	drill := int64(0)
	if a.Drill {
		drill = 1
	}
	if a.Value != nil {
		fields = append(fields, Float("value", *a.Value))
	}
	if a.AcknowledgedAt != nil {
		fields = append(fields, Float("ack_s", since(a.RaisedAt, *a.AcknowledgedAt)))
	}
	if a.ClearedAt != nil {
		fields = append(fields, Float("duration_s", since(a.RaisedAt, *a.ClearedAt)))
	}
	return appendPoint(b, Point{
		Measurement: "alarm",
		Tags: [][2]string{{"class", string(a.Class)}, {"device", a.Device}, {"level", string(a.Level)}, {"region", region},
			{"rule", a.Rule}, {"site", site}, {"zone", a.Zone}},
		Fields: append(fields, Integer("drill", drill)),
		Time:   e.Time.Truncate(time.Microsecond).Add(time.Duration(e.Seq % 1000)),
	})
}

func since(from, to time.Time) float64 { return max(0, to.Sub(from).Seconds()) }

// CheckFields reports signals that one database cannot hold together: of the same name and class, but a number at one
// device and a state or code at another. A field has one type for all devices.
func CheckFields(devices []drivers.Device) {
	type name struct {
		class  drivers.Class
		signal string
	}
	first := map[name]drivers.Device{}
	number := map[name]bool{}
	for _, d := range devices {
		for _, s := range d.Signals {
			kind := s.Of()
			key, isNumber := name{kind.Class, s.ID}, kind.Form == drivers.Number
			other, known := first[key]
			if !known {
				first[key], number[key] = d, isNumber
				continue
			}
			if number[key] != isNumber {
				d.Section.Problem("the signal %s is a number at one device and a state or code at another, %s: the platform keeps one type for a name; rename one",
					s.ID, other.ID)
			}
		}
	}
}
