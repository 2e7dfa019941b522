package monthly

import (
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/rules"
)

// WriteCSV writes the report as one table of section, item and figure columns, so that a spreadsheet can filter it. It
// begins with a byte order mark, without which Excel takes UTF-8 for the local code page.
func (r Report) WriteCSV(w io.Writer, l i18n.Lang) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = plain(cells[i])
		}
		c.Write(cells) // its error is Error's
	}
	row(l.Say("Section"), l.Say("Item"), l.Say("Location"), l.Say("Figure"), l.Say("Value"))
	for _, line := range r.lines(l) {
		row(line[:]...)
	}
	c.Flush()
	return c.Error()
}

// lines are section, item, place, figure and value.
func (r Report) lines(l i18n.Lang) (all [][5]string) {
	section := ""
	add := func(item, place, figure, value string) {
		all = append(all, [5]string{section, item, place, figure, value})
	}
	section = l.Say("Summary")
	add(r.Site.Name, r.Site.Region, l.Say("Month"), r.From.Format("2006-01"))
	add(r.Site.Name, "", l.Say("From"), r.From.Format(time.DateTime))
	add(r.Site.Name, "", l.Say("Until"), r.To.Format(time.DateTime))
	add(r.Site.Name, "", l.Say("Availability"), percent(r.Average))
	add(r.Site.Name, "", l.Say("Alarms without an end"), strconv.Itoa(r.Open))
	add(r.Site.Name, "", l.Say("False alarms of those judged"), percent(r.FalseRate))
	add(r.Site.Name, "", l.Say("Places protected"), strconv.Itoa(r.Coverage.Protected))
	add(r.Site.Name, "", l.Say("Places to protect"), strconv.Itoa(r.Coverage.Total))
	add(r.Site.Name, "", l.Say("Hand-overs"), strconv.Itoa(r.HandOvers))
	section = l.Say("Availability")
	for _, a := range r.Availability {
		name := strings.TrimSpace(a.Name + " (" + a.Device + ")")
		add(name, a.Place, l.Say("Availability"), percent(a.Ratio))
		add(name, a.Place, l.Say("Hours without an answer"), hours(a.Offline))
		add(name, a.Place, l.Say("Hours not known"), hours(a.Unknown))
	}
	section = l.Say("Alarms")
	for _, c := range r.Alarms {
		for _, f := range c.figures(l) {
			add(l.Say(rules.ClassWords[c.Class].Format), "", f.Name, strconv.Itoa(f.N))
		}
	}
	section = l.Say("Response")
	add("", "", l.Say("Alarms and early warnings"), strconv.Itoa(r.Answers.Alarms))
	add("", "", l.Say("Acknowledged alarms"), strconv.Itoa(r.Answers.Answered))
	add("", "", l.Say("Within a minute"), strconv.Itoa(r.Answers.Minute))
	add("", "", l.Say("Median, s"), seconds(r.Answers.Median))
	add("", "", l.Say("Nine of ten within, s"), seconds(r.Answers.P90))
	add("", "", l.Say("Longest, s"), seconds(r.Answers.Longest))
	section = l.Say("False alarms")
	for _, d := range r.False {
		for _, cause := range slices.Sorted(maps.Keys(d.Causes)) {
			add(strings.TrimSpace(d.Name+" ("+d.Device+")"), d.Place, causeWord(cause, l), strconv.Itoa(d.Causes[cause]))
		}
	}
	section = l.Say("Drills and tests")
	for _, h := range r.Drills {
		add(h.Time.Format(time.DateTime), "", l.Say("Drill"), h.Note)
	}
	for _, h := range r.Tests {
		add(h.Time.Format(time.DateTime), "", l.Say("Test of a zone"), h.Note)
	}
	section = l.Say("Duty checks")
	add("", "", l.Say("Asked"), strconv.Itoa(r.Checks.Asked))
	add("", "", l.Say("Answered"), strconv.Itoa(r.Checks.Answered))
	add("", "", l.Say("Missed"), strconv.Itoa(r.Checks.Missed))
	add("", "", l.Say("Median, s"), seconds(r.Checks.Median))
	section = l.Say("Hazards")
	for _, h := range r.Hazards.List {
		add(h.Title, h.Place, l.Say(h.State.Standing(h.Overdue).Format), h.Due.Format(time.DateTime))
	}
	return all
}

// plain keeps a spreadsheet from taking what somebody wrote for a formula, with any width of its sign.
func plain(cell string) string {
	if strings.IndexAny(strings.TrimLeft(cell, " \t\r\n\u00a0\u3000\"'"), "=+-@＝＋－＠") == 0 {
		if _, err := strconv.ParseFloat(cell, 64); err != nil {
			return "'" + cell
		}
	}
	return cell
}

func percent(ratio *float64) string {
	if ratio == nil {
		return ""
	}
	return strconv.FormatFloat(*ratio*100, 'f', 2, 64) + "%"
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 0, 64) }
func hours(s float64) string   { return strconv.FormatFloat(s/3600, 'f', 1, 64) }
