package console

import (
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/monthly"
)

// reportPage leads to the reports of the last months.
func (w *web) reportPage() page {
	return page{path: "/reports", role: Viewer, title: i18n.T("Reports"), nav: "/reports", body: "reports.html", view: w.seeReports}
}

type reportsView struct {
	Now    monthly.Report // as the month that is on stands
	Months []string       // 2026-11, the latest first
	Median string
}

// monthsBack is how many reports the page leads to at the most.
const monthsBack = 13

func (w *web) seeReports(q *look) (any, error) {
	r, err := w.Months.MonthlyReport(q.Context(), "")
	if err != nil {
		return nil, err
	}
	v := reportsView{Now: r}
	if r.Answers.Answered > 0 {
		v.Median = q.Lang.Say("%d s", int(r.Answers.Median+0.5))
	}
	began, err := w.Months.Began(q.Context())
	if err != nil {
		return nil, err
	}
	month := time.Date(r.From.Year(), r.From.Month(), 1, 0, 0, 0, 0, r.From.Location())
	for len(v.Months) < monthsBack {
		v.Months = append(v.Months, month.Format("2006-01"))
		if !began.Before(month) {
			break
		}
		month = month.AddDate(0, -1, 0)
	}
	return v, nil
}

// Percent is a share, for people.
func (reportsView) Percent(share *float64) string {
	if share == nil {
		return "—"
	}
	return number(float64(int(*share*1000+0.5))/10) + "%"
}
