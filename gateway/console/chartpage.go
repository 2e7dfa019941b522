package console

import (
	"context"
	"io/fs"
	"slices"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// chartPage shows what signals were: one, those of a device, or where to find them.
func (w *web) chartPage() page {
	return page{path: "/charts", role: Viewer, title: i18n.T("Charts"), nav: "/charts", body: "charts.html", view: w.seeCharts}
}

// chartsView are charts over the same time, or the devices that have some.
type chartsView struct {
	Title, Device string
	Spans         []pick
	Charts        []*chartView
	More          []pick // signals of the device that are not drawn
	Zones         []zoneView
}

// mostCharts is how many charts a page draws of one device.
const mostCharts = 8

// chartSpans are how far back charts go.
var chartSpans = []span{{key: "24h", word: i18n.T("24 hours")}, {key: "7d", word: i18n.T("7 days")}, {key: "30d", word: i18n.T("30 days")}}

func (w *web) seeCharts(q *look) (any, error) {
	values := q.URL.Query()
	signal, device, asked := values.Get("signal"), values.Get("device"), values.Get("span")
	if asked == "" {
		asked = "24h"
	}
	s, ok := lately(asked, q.Snapshot.Time)
	if !ok {
		return nil, fs.ErrNotExist
	}
	v := chartsView{}
	if signal == "" && device == "" {
		v.Zones = seeZones(q.Snapshot, q.Lang)
		return v, nil
	}
	for _, c := range chartSpans {
		v.Spans = append(v.Spans, pick{q.Lang.Say(c.word.Format), q.with("span", c.key), c.key == asked})
	}
	keys, rest := w.charted(q.Snapshot, device, signal)
	if len(keys) == 0 {
		return nil, fs.ErrNotExist
	}
	for _, key := range keys {
		c, err := w.chart(q, key, s)
		if err != nil {
			return nil, err
		}
		v.Charts = append(v.Charts, c)
		v.Title, v.Device = c.DeviceName, c.Device
	}
	for _, sig := range rest {
		v.More = append(v.More, pick{Word: sig.Name, To: "/charts?signal=" + device + "." + sig.ID + "&span=" + asked})
	}
	q.Title = q.Lang.Say("%s: %s", q.Lang.Say("Charts"), v.Title)
	return v, nil
}

// charted are the signals that are drawn, and those of the device that are not: what the device says of itself comes last.
func (w *web) charted(s *Snapshot, device, signal string) (keys []string, rest []Signal) {
	if signal != "" {
		if _, ok := s.signal(signal); ok {
			keys = append(keys, signal)
		}
		return keys, nil
	}
	i := slices.IndexFunc(s.Devices, func(d Device) bool { return d.ID == device })
	if i < 0 {
		return nil, nil
	}
	signals := slices.Clone(s.Devices[i].Signals)
	slices.SortStableFunc(signals, func(a, b Signal) int {
		return asInt(a.Class == string(drivers.DeviceClass)) - asInt(b.Class == string(drivers.DeviceClass))
	})
	for n, sig := range signals {
		if n >= mostCharts {
			return keys, signals[n:]
		}
		keys = append(keys, device+"."+sig.ID)
	}
	return keys, nil
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// chart is the chart of one signal, with the alarms of its device.
func (w *web) chart(q *look, key string, s stretch) (*chartView, error) {
	sig, ok := q.Snapshot.signal(key)
	if !ok {
		return nil, fs.ErrNotExist
	}
	steps, err := w.past.steps(q.Context(), w.History, key, s, q.Now)
	if err != nil {
		return nil, err
	}
	sig.Label = ""
	v := draw(sig, s, steps, q.Snapshot.Time, q.Lang)
	v.Signal = key
	for _, d := range q.Snapshot.Devices {
		if d.ID+"."+sig.ID == key {
			v.Device, v.DeviceName = d.ID, d.Name
		}
	}
	alarms, err := w.Archive.FindAlarms(q.Context(), AlarmQuery{Device: v.Device, From: s.from, To: s.to, Limit: mostMarks})
	if err != nil {
		return nil, err
	}
	for _, a := range alarms {
		if a.Signal != key {
			continue
		}
		x := chartWidth * float64(a.RaisedAt.Sub(s.from)) / float64(s.to.Sub(s.from))
		v.Marks = append(v.Marks, mark{dot(x), a.ID, a.Name, markMood(a.Level), at(a.RaisedAt, q.Snapshot.Time, q.Lang)})
	}
	return v, nil
}

// mostMarks bounds the alarms in one chart.
const mostMarks = 200

// past keeps what charts were made of for a while, so that fifty open pages ask the disk once.
type past struct {
	mu   sync.Mutex // held while the disk is asked: charts come one after the other
	kept map[pastKey]pastSteps
}

type pastKey struct {
	signal   string
	from, to int64
	points   int
}

type pastSteps struct {
	at    time.Time
	steps []Step
	err   error
}

// Charts are asked for again after a while, and so many are kept.
const (
	chartAge   = 15 * time.Second
	mostKept   = 200
	chartGrace = 5 * time.Second // for the disk
)

func (p *past) steps(ctx context.Context, h Historian, signal string, s stretch, now time.Time) ([]Step, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := pastKey{signal, s.from.Unix(), s.to.Unix(), s.points}
	if kept, ok := p.kept[key]; ok && now.Sub(kept.at) < chartAge {
		return kept.steps, kept.err
	}
	if len(p.kept) >= mostKept || p.kept == nil {
		p.kept = map[pastKey]pastSteps{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chartGrace) // for all who wait for it
	defer cancel()
	steps, err := h.History(ctx, signal, s.from, s.to, s.points)
	p.kept[key] = pastSteps{now, steps, err}
	return steps, err
}
