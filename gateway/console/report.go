package console

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

//go:embed report
var reportFiles embed.FS

// reportView is an incident on paper: everything that is known of one alarm.
type reportView struct {
	Lang              i18n.Lang
	Site              Site
	Zone              string // time zone of all times
	Made              string
	Alarm             alarmView
	Open              bool
	Verdict           string
	Raised, Acked     string
	Cleared, Closed   string
	AnsweredIn, Until string // from raised to the first acknowledgement; to the end
	Timeline          []reportLine
	Deliveries        []reportLine
	Photos            []reportPhoto
	Style             template.CSS // "" where the page loads it
}

// reportLine is a row of the timeline, or of the deliveries.
type reportLine struct {
	Seq                           int64
	Time, After                   string
	What, Who, Via, Reading, Note string
	Photo                         int
}

type reportPhoto struct {
	N                     int
	Time, Who, Note, Hash string
	source                func() template.URL
}

// Source is where the picture is, or all of it; "" where it is not there any more. It is read when the page has come to it:
// all pictures of an alarm at once would be 50 MB.
func (p reportPhoto) Source() template.URL { return p.source() }

// getReport answers with an alarm for the printer. With embed=1 the page needs nothing beside itself, as for a file.
func (w *web) getReport(rw http.ResponseWriter, r *http.Request) {
	l, id, alone := w.lang(r), r.PathValue("id"), r.URL.Query().Get("embed") == "1"
	a, events, err := w.Source.Alarm(r.Context(), id)
	if err != nil {
		w.noAlarm(rw, r, err)
		return
	}
	deliveries, err := w.Notes.Attempts(r.Context(), id)
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	s := w.now()
	now := time.Now().In(s.Time.Location())
	v := reportOf(s, now, a, events, deliveries, l)
	v.Photos = w.reportPhotos(r.Context(), id, events, now.Location(), alone)
	if alone {
		css, _ := files.ReadFile("assets/report.css") // our own embedded file
		v.Style = template.CSS(css)
	}
	page, err := template.New("").Funcs(template.FuncMap{"say": l.Say, "asset": w.assets.url}).ParseFS(reportFiles, "report/incident.html")
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Language", string(l))
	if alone {
		rw.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "alarm-"+a.ID+".html"))
	}
	if err := page.ExecuteTemplate(rw, "incident.html", v); err != nil {
		w.Log.Debug("report not sent", "alarm", a.ID, "err", err)
	}
}

// reportOf is an alarm with what happened to it, in the words of one language and the times of now's zone.
func reportOf(s *Snapshot, now time.Time, a alarm.Alarm, events []alarm.Event, deliveries []Attempt, l i18n.Lang) reportView {
	clock := func(t time.Time) string { return t.In(now.Location()).Format(time.DateTime) }
	maybe := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return clock(*t)
	}
	v := reportView{
		Lang: l, Site: s.Site, Zone: now.Format("MST -07:00"), Made: clock(now), Alarm: seeAlarm(a, s, l), Open: a.Open(),
		Verdict: verdictWord(a.Verdict, l), Raised: clock(a.RaisedAt), Acked: maybe(a.AcknowledgedAt), Cleared: maybe(a.ClearedAt), Closed: maybe(a.ClosedAt),
	}
	if i := slices.IndexFunc(events, func(e alarm.Event) bool { return e.Type == alarm.EventAcknowledged }); i >= 0 {
		v.AnsweredIn = since(a.RaisedAt, events[i].Time)
	}
	if a.ClosedAt != nil {
		v.Until = since(a.RaisedAt, *a.ClosedAt)
	}
	for _, e := range events {
		line := reportLine{Seq: e.Seq, Time: clock(e.Time), After: since(a.RaisedAt, e.Time), What: eventWord(e.Type, l), Who: e.By, Via: e.Via, Note: e.Note}
		if words, ok := viaWords[e.Via]; ok {
			line.Via = l.Say(words.Format)
		}
		if e.Second != "" {
			line.Who = l.Say("%s with %s", e.By, e.Second)
		}
		if e.Alarm != nil {
			line.Reading = strings.TrimSpace(seeAlarm(*e.Alarm, s, l).Reading + " " + e.Alarm.Unit)
			if e.Type == alarm.EventVerdict {
				line.Note = strings.TrimSpace(verdictWord(e.Alarm.Verdict, l) + " " + e.Note)
			}
		}
		if e.Photo != nil {
			line.Photo = e.Photo.N
		}
		v.Timeline = append(v.Timeline, line)
	}
	for _, d := range deliveries {
		v.Deliveries = append(v.Deliveries, reportLine{
			Time: clock(d.Time), After: since(a.RaisedAt, d.Time), What: eventWord(d.Type, l), Who: d.To, Via: d.Channel, Reading: outcomeWord(d.Outcome, l), Note: d.Detail,
		})
	}
	return v
}

// since is a span of time to the second: 1m5s.
func since(from, to time.Time) string { return to.Sub(from).Round(time.Second).String() }

func (w *web) reportPhotos(ctx context.Context, id string, events []alarm.Event, at *time.Location, alone bool) (list []reportPhoto) {
	for _, e := range events {
		if e.Photo == nil {
			continue
		}
		p := reportPhoto{N: e.Photo.N, Time: e.Time.In(at).Format(time.DateTime), Who: e.By, Note: e.Note, Hash: e.Photo.SHA256}
		p.source = func() template.URL { return w.photoSource(ctx, id, p.N, alone) }
		list = append(list, p)
	}
	return list
}

func (w *web) photoSource(ctx context.Context, id string, n int, alone bool) template.URL {
	kept, picture, err := w.Notes.Photo(ctx, id, n)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		w.Log.Error("picture not read", "alarm", id, "picture", n, "err", err)
		return ""
	case alone:
		return template.URL("data:" + kept.Type + ";base64," + base64.StdEncoding.EncodeToString(picture)) // a cleaned JPEG or PNG
	}
	return template.URL(fmt.Sprintf("/api/v1/alarms/%s/photo/%d", id, n)) // id is that of an alarm
}
