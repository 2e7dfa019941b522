package console

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// placePages are the list of zones and devices, the page of one device, and that which adds one.
func (w *web) placePages() []page {
	return []page{
		{path: "/zones", role: Viewer, title: i18n.T("Places"), nav: "/zones", body: "places.html", view: w.seePlaces, shared: true},
		{path: "/devices/{id}", role: Viewer, title: i18n.T("Device"), nav: "/zones", body: "device.html", view: w.seeOneDevice},
		w.addPage(),
	}
}

// placeView is a zone in one glance.
type placeView struct {
	ID, Path string
	Mood     mood
	Word     string // all is well, or what is not
	Devices  []deviceView
	Alarms   int
	Missing  int // values that are not good
	Offline  int // devices that do not answer, or were not heard yet
}

func (w *web) seePlaces(q *look) (any, error) { return places(q.Snapshot, q.Lang), nil }

// places are the zones that have devices or alarms, in the order of the configuration.
func places(s *Snapshot, l i18n.Lang) []placeView {
	var list []placeView
	for _, z := range seeZones(s, l) {
		p := placeView{ID: z.ID, Path: z.Path, Devices: z.Devices, Missing: z.Missing, Mood: moodWell}
		for _, d := range z.Devices {
			if d.Link != "online" {
				p.Offline++
			}
		}
		p.judge(s.Alarms, l)
		list = append(list, p)
	}
	return list
}

// judge says how the zone is: its most urgent alarm, else what is not known of it.
func (p *placeView) judge(open []alarm.Alarm, l i18n.Lang) {
	var top *alarm.Alarm
	for i, a := range open {
		if a.Zone != p.ID {
			continue
		}
		p.Alarms++
		if m := moodOf(a); top == nil || urgency[m] < urgency[p.Mood] {
			top, p.Mood = &open[i], m
		}
	}
	unknown := p.Offline > 0 || p.Missing > 0
	switch {
	case top != nil && (p.Mood != moodDrill && p.Mood != moodNotice || !unknown):
		p.Word = top.Name
	case p.Offline > 0:
		p.Mood, p.Word = moodUnknown, l.Say("%d do not answer", p.Offline)
	case p.Missing > 0:
		p.Mood, p.Word = moodUnknown, l.Say("%d not certain", p.Missing)
	default:
		p.Word = l.Say("all well")
	}
}

// oneDeviceView is everything about one device.
type oneDeviceView struct {
	deviceView
	Zone, ZonePath string
	Profile        string
	Every          string
	Rows           []rowView
	Errors         []errorView
	Alarms         []alarmView
	Frames         []wireView
	Outputs        []outputView
	HasFrames      bool // its driver keeps them
	CanAsk         bool // it may be read at any time
}

// rowView is one signal of a device.
type rowView struct {
	signalView
	ID, Key, Kind string
	Read          moment // the last good value
}

// errorView is a kind of error, with how often it happened since the start.
type errorView struct {
	Word  string
	Count int64
}

// wireView is what went over the wire.
type wireView struct {
	Clock, Bytes, Note string
	Sent               bool
}

// mostFrames is how many frames the page of a device shows; the API has all that are kept.
const mostFrames = 20

func (w *web) seeOneDevice(q *look) (any, error) {
	id, l, s := q.PathValue("id"), q.Lang, q.Snapshot
	i := slices.IndexFunc(s.Devices, func(d Device) bool { return d.ID == id })
	if i < 0 {
		return nil, fs.ErrNotExist
	}
	d := s.Devices[i]
	q.Title = d.Name
	v := oneDeviceView{deviceView: seeDevice(d, s.Time, l), Zone: d.Zone, Profile: d.Profile, Outputs: outputs(d, l)}
	if d.Every > 0 {
		v.Every = d.Every.String()
	}
	for _, z := range s.Zones {
		if z.ID == d.Zone {
			v.ZonePath = z.Path
		}
	}
	for _, sig := range d.Signals {
		v.Rows = append(v.Rows, rowView{seeSignal(sig, s.Time, l), sig.ID, d.ID + "." + sig.ID, sig.Kind, at(sig.Time, s.Time, l)})
	}
	for _, e := range d.Errors {
		v.Errors = append(v.Errors, errorView{reasonWord(e.Reason, l), e.Count})
	}
	for _, a := range s.Alarms {
		if a.Device == id {
			v.Alarms = append(v.Alarms, q.alarm(a))
		}
	}
	frames, _ := w.Frames(id)
	v.HasFrames = frames != nil
	for _, f := range frames[max(0, len(frames)-mostFrames):] {
		v.Frames = append(v.Frames, wireView{f.Time.In(s.Time.Location()).Format("15:04:05.000"), fmt.Sprintf("% x", f.Bytes), f.Note, f.Sent})
	}
	slices.Reverse(v.Frames)
	e := slices.IndexFunc(s.Endpoints, func(e Endpoint) bool { return e.ID == d.Endpoint })
	v.CanAsk = e >= 0 && s.Endpoints[e].Protocol == "modbus"
	return v, nil
}

// reasonWord says why there is no reading; a reason that has no words is said as it is.
func reasonWord(r drivers.Reason, l i18n.Lang) string {
	return cmp.Or(l.Say(reasonWords[r].Format), string(r))
}
