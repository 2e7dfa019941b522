package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// stretch is the part of time that a chart shows, with the labels of its axis: each stands where its part begins.
type stretch struct {
	from, to time.Time
	points   int
	labels   []string
}

// lately is the last day, week or month. It ends at a full hour or day, so that the labels are round.
func lately(span string, now time.Time) (stretch, bool) {
	switch span {
	case "24h":
		to := now.Truncate(time.Hour).Add(time.Hour)
		return labelled(to.Add(-24*time.Hour), to, 288, 6, "15:04"), true
	case "7d":
		to := midnight(now)
		return labelled(to.AddDate(0, 0, -7), to, 336, 7, "01-02"), true
	case "30d":
		to := midnight(now)
		return labelled(to.AddDate(0, 0, -30), to, 360, 6, "01-02"), true
	}
	return stretch{}, false
}

// midnight is the next one.
func midnight(now time.Time) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, now.Location())
}

// around is the time of an alarm, with ten minutes before it and after. Of the last day the history has every change, of
// what was before minutes.
func around(a alarm.Alarm, now time.Time) stretch {
	const margin = 10 * time.Minute
	from, to := a.RaisedAt.Add(-margin), now
	if a.ClearedAt != nil && a.ClearedAt.Add(margin).Before(now) {
		to = a.ClearedAt.Add(margin)
	}
	from = from.In(now.Location()).Truncate(time.Minute)
	minutes := int(min(to.Sub(from), longestHistory)/time.Minute) + 1
	to = from.Add(time.Duration(minutes) * time.Minute)
	layout, points := "15:04", 300
	if minutes > 24*60 {
		layout = "01-02 15:04"
	}
	if now.Sub(from) > 23*time.Hour {
		points = min(points, minutes)
	}
	return labelled(from, to, points, 4, layout)
}

func labelled(from, to time.Time, points, parts int, layout string) stretch {
	s := stretch{from: from, to: to, points: points}
	for i := range parts {
		s.labels = append(s.labels, from.Add(to.Sub(from)*time.Duration(i)/time.Duration(parts)).Format(layout))
	}
	return s
}

// chartView is what a signal was, drawn. Its coordinates are those of a picture of 1000 × 300.
type chartView struct {
	Signal, Name, Unit  string
	Device, DeviceName  string
	State               bool
	X, Y                []string // labels from the left, and from the top
	Areas               []area   // times without a value
	Bands, Lines        []string // paths: from least to greatest, and the mean
	Zero                string   // where zero is; "" outside
	Now                 string   // where the present is; "" outside
	Marks               []mark
	Summary             string
	Empty               bool // there never was a value
	HasStale, HasBad    bool
	HasGap              bool
	Least, Most, Middle string // of the values, with unit
}

// area is a time without a value, and why: stale, bad or gap, each drawn in its own way.
type area struct{ X, Width, Look string }

// mark is an alarm in a chart.
type mark struct {
	X, ID, Name string
	Mood        mood
	At          moment
}

const chartWidth, chartHeight = 1000.0, 300.0

// draw makes a chart of steps. Those after now have not happened, and are neither gap nor value.
func draw(sig Signal, s stretch, steps []Step, now time.Time, l i18n.Lang) *chartView {
	v := &chartView{Name: sig.Name, Unit: sig.Unit, State: sig.Form == drivers.State, X: s.labels}
	x := func(t time.Time) float64 { return chartWidth * float64(t.Sub(s.from)) / float64(s.to.Sub(s.from)) }
	low, high, sum := math.Inf(1), math.Inf(-1), 0.0
	good, known := 0.0, 0.0
	for i := range steps {
		if st := &steps[i]; st.Mean != nil {
			low, high = min(low, *st.Min), max(high, *st.Max)
			sum, good = sum+*st.Mean*st.Good, good+st.Good
		}
	}
	v.Empty = good == 0
	scale := scaleOf(v.State, low, high)
	v.Y = scale.labels(sig, l)
	pen := pen{scale: scale, state: v.State}
	for i, st := range steps {
		begin, end := st.Time, s.to
		if i+1 < len(steps) {
			end = steps[i+1].Time
		}
		if !begin.Before(now) {
			break
		}
		end = earlier(end, now)
		known += end.Sub(begin).Seconds()
		v.without(st, x(begin), x(end), end.Sub(begin).Seconds())
		pen.step(st, x(begin), x(end))
	}
	pen.lift()
	v.Bands, v.Lines = pen.bands, pen.lines
	if scale.low <= 0 && scale.high >= 0 {
		v.Zero = dot(scale.y(0))
	}
	if now.Before(s.to) {
		v.Now = dot(x(now))
	}
	if !v.Empty {
		v.Least, v.Most, v.Middle = sig.say(low, l), sig.say(high, l), sig.say(sum/good, l)
		v.Summary = l.Say("A value for %s %% of the time", number(math.Floor(1000*min(good/known, 1))/10))
	}
	return v
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// without adds the part of a step without a value; one that goes on is one area.
func (v *chartView) without(st Step, from, to, length float64) {
	look := ""
	switch {
	case st.Bad >= length/10 && st.Why == drivers.Stale:
		look, v.HasStale = "stale", true
	case st.Bad >= length/10:
		look, v.HasBad = "bad", true
	case st.Mean == nil:
		look, v.HasGap = "gap", true
	default:
		return
	}
	if n := len(v.Areas) - 1; n >= 0 && v.Areas[n].Look == look {
		begin, _ := strconv.ParseFloat(v.Areas[n].X, 64) // our own
		wide, _ := strconv.ParseFloat(v.Areas[n].Width, 64)
		if math.Abs(begin+wide-from) < 0.2 {
			v.Areas[n].Width = dot(to - begin)
			return
		}
	}
	v.Areas = append(v.Areas, area{dot(from), dot(to - from), look})
}

// axis is the range of the values, by round numbers.
type axis struct {
	low, high, step float64
	state           bool
}

func scaleOf(state bool, low, high float64) axis {
	if state {
		return axis{low: -0.15, high: 1.15, step: 1, state: true}
	}
	if math.IsInf(low, 0) {
		low, high = 0, 1
	}
	if low > 0 && low < high/2 {
		low = 0
	}
	if high-low < 1e-9 {
		around := max(math.Abs(high)/10, 0.5)
		low, high = low-around, high+around
		if low < 0 && high > 0 && low+around >= 0 {
			low = 0
		}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if step*m*4 >= high-low {
			step *= m
			break
		}
	}
	return axis{low: math.Floor(low/step+1e-9) * step, high: math.Ceil(high/step-1e-9) * step, step: step}
}

// labels are those of the axis, from the top.
func (a axis) labels(sig Signal, l i18n.Lang) (labels []string) {
	sig.Label = ""
	if a.state {
		return []string{sig.say(1, l), sig.say(0, l)}
	}
	for n := math.Round((a.high - a.low) / a.step); n >= 0; n-- {
		labels = append(labels, number(a.low+n*a.step))
	}
	return labels
}

func (a axis) y(v float64) float64 { return chartHeight * (a.high - v) / (a.high - a.low) }

// pen draws a line through the means of steps, and a band from least to greatest; it is lifted where there is no value.
type pen struct {
	scale        axis
	state        bool
	top, low     []string // of the band
	line         []string
	lines, bands []string
}

func (p *pen) step(st Step, from, to float64) {
	if st.Mean == nil {
		p.lift()
		return
	}
	middle := (from + to) / 2
	most, least := dot(p.scale.y(*st.Max)), dot(p.scale.y(*st.Min))
	p.top = append(p.top, dot(from)+" "+most, dot(to)+" "+most)
	p.low = append(p.low, dot(from)+" "+least, dot(to)+" "+least)
	switch {
	case p.state: // it was the last of the step; the band says what else
		p.line = append(p.line, dot(from)+" "+dot(p.scale.y(*st.Last)), dot(to)+" "+dot(p.scale.y(*st.Last)))
	case len(p.line) == 0:
		p.line = append(p.line, dot(from)+" "+dot(p.scale.y(*st.Mean)), dot(middle)+" "+dot(p.scale.y(*st.Mean)))
	default:
		p.line = append(p.line, dot(middle)+" "+dot(p.scale.y(*st.Mean)))
	}
}

// lift ends a line.
func (p *pen) lift() {
	if len(p.line) == 0 {
		return
	}
	p.lines = append(p.lines, "M"+strings.Join(p.line, "L"))
	var band strings.Builder
	band.WriteString("M" + strings.Join(p.top, "L"))
	for i := len(p.low) - 1; i >= 0; i-- {
		band.WriteString("L" + p.low[i])
	}
	p.bands = append(p.bands, band.String()+"Z")
	p.top, p.low, p.line = nil, nil, nil
}

// dot is a coordinate.
func dot(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }
