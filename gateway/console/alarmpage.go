package console

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// alarmPages are the list of alarms, open and past, and the page of one.
func (w *web) alarmPages() []page {
	return []page{
		{path: "/alarms", role: Viewer, title: i18n.T("Alarms"), nav: "/alarms", body: "alarmlist.html", view: w.seeAlarms},
		{path: "/alarms/{id}", role: Viewer, title: i18n.T("Alarm"), nav: "/alarms", body: "alarm.html", view: w.seeOneAlarm},
	}
}

// alarmsView is a part of the history of alarms.
type alarmsView struct {
	Classes, Spans []pick
	Alarms         []alarmView
	More           bool // there are older ones that are not shown
}

// pick is one of several links, of which one is in force.
type pick struct {
	Word, To string
	Current  bool
}

const mostAlarms = 100

// span is a choice of how far back to look.
type span struct {
	key  string
	word i18n.Text
	back time.Duration
}

// spans are how far back the list goes, by the word in its address.
var spans = []span{
	{"open", i18n.T("Open"), 0},
	{"1d", i18n.T("24 hours"), 24 * time.Hour},
	{"7d", i18n.T("7 days"), 7 * 24 * time.Hour},
	{"31d", i18n.T("31 days"), 31 * 24 * time.Hour},
	{"all", i18n.T("All"), 0},
}

func (w *web) seeAlarms(q *look) (any, error) {
	values := q.URL.Query()
	class, asked, device := rules.Class(values.Get("class")), values.Get("span"), values.Get("device")
	if asked == "" {
		asked = "7d"
	}
	at := slices.IndexFunc(spans, func(s span) bool { return s.key == asked })
	if _, known := rules.ClassWords[class]; at < 0 || class != "" && !known {
		return nil, fs.ErrNotExist
	}
	query := AlarmQuery{Open: asked == "open", Class: class, Device: device, Limit: mostAlarms + 1}
	if back := spans[at].back; back > 0 {
		query.From = q.Now.Add(-back)
	}
	alarms, err := w.Archive.FindAlarms(q.Context(), query)
	if err != nil {
		return nil, err
	}
	v := alarmsView{More: len(alarms) > mostAlarms}
	for _, s := range spans {
		v.Spans = append(v.Spans, pick{q.Lang.Say(s.word.Format), q.with("span", s.key), s.key == asked})
	}
	v.Classes = append(v.Classes, pick{q.Lang.Say("All kinds"), q.with("class", ""), class == ""})
	for _, c := range rules.Classes {
		v.Classes = append(v.Classes, pick{q.Lang.Say(rules.ClassWords[c].Format), q.with("class", string(c)), c == class})
	}
	for _, a := range alarms[:min(len(alarms), mostAlarms)] {
		v.Alarms = append(v.Alarms, q.alarm(a))
	}
	return v, nil
}

// alarm is an alarm with what whoever looks may do about it.
func (q *look) alarm(a alarm.Alarm) alarmView {
	v := seeAlarm(a, q.Snapshot, q.Lang)
	if !q.Who.Role.May(Duty) {
		v.CanAck, v.CanSilence, v.CanEnd, v.CanShelve, v.CanJudge = false, false, false, false, false
	}
	return v
}

// with is the address of the request with one word of its query changed.
func (q *look) with(key, value string) string {
	values := q.URL.Query()
	values.Del("lang")
	if value == "" {
		values.Del(key)
	} else {
		values.Set(key, value)
	}
	return q.URL.Path + "?" + values.Encode()
}

// oneAlarmView is everything about one alarm.
type oneAlarmView struct {
	alarmView
	Still      bool // there is one of the camera
	StillAt    moment
	Camera     string      // address of the live picture; "" where there is none
	Live       *signalView // the deciding signal now; nil where there is none
	Chart      *chartView
	Line       []happened
	Deliveries []deliveryView
}

// happened is one line of the story of an alarm.
type happened struct {
	At         moment
	What       string
	By, Second string
	Via, Note  string
	Photo      string // address of the picture that came with it
	Mood       mood
}

type deliveryView struct {
	At          moment
	Channel, To string
	What        string // it tells of
	Said, Look  string // what became of it
	Detail      string // why it failed
}

func (w *web) seeOneAlarm(q *look) (any, error) {
	id := q.PathValue("id")
	a, events, err := w.Source.Alarm(q.Context(), id)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(q.Snapshot.Alarms, func(open alarm.Alarm) bool { return open.ID == id }); i >= 0 {
		a = q.Snapshot.Alarms[i] // with its latest reading
	}
	deliveries, err := w.Notes.Attempts(q.Context(), id)
	if err != nil {
		return nil, err
	}
	l := q.Lang
	q.Title = a.Name
	v := oneAlarmView{alarmView: q.alarm(a)}
	if sig, ok := q.Snapshot.signal(a.Signal); ok {
		live := seeSignal(sig, q.Snapshot.Time, l)
		v.Live = &live
		if v.Chart, err = w.chart(q, a.Signal, around(a, q.Snapshot.Time)); err != nil {
			return nil, err
		}
	}
	for _, z := range q.Snapshot.Zones {
		if z.ID == a.Zone {
			v.Camera = z.Camera
		}
	}
	if taken, ok := stillOf(events); ok {
		v.Still, v.StillAt = true, at(taken.Time, q.Snapshot.Time, l)
	}
	for _, e := range events {
		v.Line = append(v.Line, happenedIn(e, q.Snapshot.Time, l))
	}
	for _, d := range deliveries {
		v.Deliveries = append(v.Deliveries, deliveryView{
			At: at(d.Time, q.Snapshot.Time, l), Channel: d.Channel, To: w.called(d.To, q.Snapshot.Duty), What: eventWord(d.Type, l),
			Said: outcomeWord(d.Outcome, l), Look: d.Outcome, Detail: d.Detail,
		})
	}
	return v, nil
}

// called are the names of people by their ids, which have commas between them: as the accounts or the roster of these days
// know them.
func (w *web) called(ids string, d *DutyState) string {
	var known []access.Person
	if w.Access != nil {
		known = w.Access.People()
	}
	if d != nil {
		for _, t := range d.Now {
			known = append(known, t.People...)
		}
		for _, c := range d.Calls {
			for _, to := range c.Told {
				known = append(known, to.People...)
			}
		}
	}
	list := strings.Split(ids, ",")
	for i, id := range list {
		for _, p := range known {
			if p.ID == id && p.Name != "" {
				list[i] = p.Name
			}
		}
	}
	return strings.Join(list, ", ")
}

func happenedIn(e alarm.Event, now time.Time, l i18n.Lang) happened {
	h := happened{At: at(e.Time, now, l), What: eventWord(e.Type, l), By: e.By, Second: e.Second, Note: e.Note}
	if words, ok := viaWords[e.Via]; ok && e.By != "" {
		h.Via = l.Say(words.Format)
	}
	if e.Photo != nil && e.Alarm != nil {
		h.Photo = fmt.Sprintf("/api/v1/alarms/%s/photo/%d", e.Alarm.ID, e.Photo.N)
	}
	switch {
	case e.Type == alarm.EventRaised && e.Alarm != nil:
		h.Mood = moodOf(*e.Alarm)
	case e.Type == alarm.EventVerdict && e.Alarm != nil:
		h.What = l.Say("%s: %s", h.What, verdictWord(e.Alarm.Verdict, l))
	}
	return h
}

// took says how long something took.
func took(d time.Duration, l i18n.Lang) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return l.Say("%d ms", d.Milliseconds())
	case d < time.Minute:
		return l.Say("%s s", fmt.Sprintf("%.1f", d.Seconds()))
	}
	return l.Say("%d min", int(d.Minutes()))
}
