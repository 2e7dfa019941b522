package gateway

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// Selection is what of the journal is exported. What is zero selects all; a day alone as To includes that day.
type Selection struct {
	From, To string // 2026-11-01, or 2026-11-01 08:00:00, in the site's time zone
	Class    string
	Device   string
}

// VerifyJournal checks the hash chain of the journal in the data directory and answers how many events fit. The error
// wraps a *store.ChainError where one does not. A daemon may be running.
func (g *Gateway) VerifyJournal(ctx context.Context) (int64, error) {
	r, err := store.OpenReader(string(g.cfg.Data))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.VerifyJournal(ctx)
}

// ExportJournal writes events in the order of the journal, as csv or jsonl, and answers how many. A daemon may be running.
func (g *Gateway) ExportJournal(ctx context.Context, out io.Writer, format string, sel Selection) (n int, err error) {
	q, err := g.query(sel)
	if err != nil {
		return 0, err
	}
	r, err := store.OpenReader(string(g.cfg.Data))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	buffered := bufio.NewWriter(out)
	var write func(alarm.Event) error
	switch format {
	case "csv":
		write, err = g.csv(buffered)
	case "jsonl":
		lines := json.NewEncoder(buffered)
		lines.SetEscapeHTML(false)
		write = func(e alarm.Event) error { return lines.Encode(e) }
	default:
		err = &BadSelection{i18n.T("--format %s: csv or jsonl", format)}
	}
	if err != nil {
		return 0, err
	}
	err = r.EachEvent(ctx, q, func(e alarm.Event) error { n++; return write(e) })
	return n, errors.Join(err, buffered.Flush())
}

// BadSelection is the error of a selection that cannot be read.
type BadSelection struct{ Text i18n.Text }

func (b *BadSelection) Error() string { return b.Text.String() }

func (g *Gateway) query(sel Selection) (q store.EventQuery, err error) {
	q.Device, q.Class = sel.Device, rules.Class(sel.Class)
	if q.Class != "" && !slices.Contains(rules.Classes, q.Class) {
		return q, &BadSelection{i18n.T("there is no class %q; there are %s", sel.Class, fmt.Sprint(rules.Classes))}
	}
	if q.From, _, err = g.moment(sel.From); err != nil {
		return q, err
	}
	to, day, err := g.moment(sel.To)
	if day {
		to = to.AddDate(0, 0, 1)
	}
	q.To = to
	return q, err
}

// moment reads a time of the site, or a day.
func (g *Gateway) moment(text string) (t time.Time, day bool, err error) {
	if text == "" {
		return t, false, nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.RFC3339} {
		if t, err = time.ParseInLocation(layout, text, g.location); err == nil {
			return t, false, nil
		}
	}
	if t, err = time.ParseInLocation(time.DateOnly, text, g.location); err != nil {
		return t, false, &BadSelection{i18n.T("%q is not a time; write it as 2026-11-01 or 2026-11-01 08:00:00", text)}
	}
	return t, true, nil
}

// columns are those of the CSV, with what of an event stands in each. What people or devices wrote goes through plain.
var columns = []struct {
	name i18n.Text
	of   func(e alarm.Event, a alarm.Alarm, at *time.Location) string
}{
	{i18n.T("No."), func(e alarm.Event, _ alarm.Alarm, _ *time.Location) string { return strconv.FormatInt(e.Seq, 10) }},
	{i18n.T("Time"), func(e alarm.Event, _ alarm.Alarm, at *time.Location) string {
		return e.Time.In(at).Format("2006-01-02 15:04:05.000")
	}},
	{i18n.T("Event"), func(e alarm.Event, _ alarm.Alarm, _ *time.Location) string { return plain(e.Type) }},
	{i18n.T("Class"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(string(a.Class)) }},
	{i18n.T("Level"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(string(a.Level)) }},
	{i18n.T("Zone"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.ZonePath) }},
	{i18n.T("Device"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.DeviceName) }},
	{i18n.T("Signal"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.Signal) }},
	{i18n.T("Name"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.Name) }},
	{i18n.T("Value"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string {
		if a.Value == nil {
			return ""
		}
		return strconv.FormatFloat(*a.Value, 'f', -1, 64)
	}},
	{i18n.T("Unit"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.Unit) }},
	{i18n.T("State"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(string(a.State)) }},
	{i18n.T("By"), func(e alarm.Event, _ alarm.Alarm, _ *time.Location) string { return plain(e.By) }},
	{i18n.T("Second person"), func(e alarm.Event, _ alarm.Alarm, _ *time.Location) string { return plain(e.Second) }},
	{i18n.T("Via"), func(e alarm.Event, _ alarm.Alarm, _ *time.Location) string { return plain(e.Via) }},
	{i18n.T("Note"), func(e alarm.Event, _ alarm.Alarm, _ *time.Location) string { return plain(e.Note) }},
	{i18n.T("Verdict"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.Verdict) }},
	{i18n.T("Mark"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return mark(a) }},
	{i18n.T("Message"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.Message) }},
	{i18n.T("Rule"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.Rule) }},
	{i18n.T("Alarm"), func(_ alarm.Event, a alarm.Alarm, _ *time.Location) string { return plain(a.ID) }},
}

func mark(a alarm.Alarm) string {
	switch {
	case a.Drill:
		return "drill"
	case a.Test:
		return "test"
	}
	return ""
}

// csv writes the heading and answers what writes a line: RFC 4180 in UTF-8 with the mark by which Excel knows it.
func (g *Gateway) csv(out io.Writer) (func(alarm.Event) error, error) {
	w := csv.NewWriter(out)
	w.UseCRLF = true
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = g.cfg.Site.Language.Say(c.name.Format)
	}
	put := func() error {
		err := w.Write(line)
		w.Flush()
		return errors.Join(err, w.Error())
	}
	if _, err := io.WriteString(out, "\ufeff"); err != nil {
		return nil, fmt.Errorf("write csv: %w", err)
	}
	return func(e alarm.Event) error {
		var a alarm.Alarm
		if e.Alarm != nil {
			a = *e.Alarm
		}
		for i, c := range columns {
			line[i] = c.of(e, a, g.location)
		}
		return put()
	}, put()
}

// plain is a text that no spreadsheet takes for a formula: one that begins like one, with any width of its sign, gets an
// apostrophe before it. Control characters become spaces; a telephone number keeps its plus behind the apostrophe.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if rest := strings.TrimLeft(text, " \u00a0\u3000\"'"); rest != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(rest)[0]) {
		return "'" + text
	}
	return text
}
