package monthly

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/rules"
)

//go:embed report.html
var page string

// WriteHTML writes the report as one file that needs nothing else, and prints on A4. Style is left out where a link to a
// style sheet is given, for a page whose policy forbids styles inside.
func (r Report) WriteHTML(w io.Writer, l i18n.Lang, stylesheet string) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"say":     l.Say,
		"percent": func(ratio *float64) string { return orDash(percent(ratio)) },
		"hours":   hours,
		"time":    func(t time.Time) string { return t.Format("2006-01-02 15:04") },
		"class":   func(c ClassCount) string { return l.Say(rules.ClassWords[c.Class].Format) },
		"figures": func(c ClassCount) []figure { return c.figures(l) },
		"hazard":  func(h Hazard) string { return l.Say(h.State.Standing(h.Overdue).Format) },
		"took":    func(s float64) string { return took(s, l) },
		"causes":  func(d FalseDevice) string { return causes(d, l) },
		"busiest": func() string { return busiest(r.FalseHours, l) },
		"style":   func() template.CSS { return Style },
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("monthly report: %w", err)
	}
	lang := "en"
	if l == i18n.Chinese {
		lang = "zh-CN"
	}
	return t.Execute(w, struct {
		Report
		Lang, Stylesheet string
	}{r, lang, stylesheet})
}

//go:embed report.css
var style string

// Style is the style sheet of the report.
var Style = template.CSS(style)

func orDash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}

// took is a time that somebody needed.
func took(s float64, l i18n.Lang) string {
	if s < 120 {
		return l.Say("%d s", int(s+0.5))
	}
	return l.Say("%d min", int(s/60+0.5))
}

func causes(d FalseDevice, l i18n.Lang) string {
	var list []string
	for _, c := range slices.SortedFunc(maps.Keys(d.Causes), func(a, b string) int {
		if d.Causes[a] != d.Causes[b] {
			return d.Causes[b] - d.Causes[a]
		}
		return strings.Compare(a, b)
	}) {
		list = append(list, fmt.Sprintf("%s ×%d", causeWord(c, l), d.Causes[c]))
	}
	return strings.Join(list, " · ")
}

// busiest is the hour of the day with the most false alarms; "" without any.
func busiest(hours [24]int, l i18n.Lang) string {
	most := 0
	for h, n := range hours {
		if n > hours[most] {
			most = h
		}
	}
	if hours[most] == 0 {
		return ""
	}
	return l.Say("most of them between %d:00 and %d:00", most, most+1)
}
