package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/monthly"
)

// Months makes the report of a month like 2026-10; "" is the one that is on. An error is *alarm.Refused where there is none.
type Months interface {
	MonthlyReport(ctx context.Context, month string) (monthly.Report, error)

	// Began is when the journal begins: before it there is nothing to report.
	Began(ctx context.Context) (time.Time, error)
}

// monthRoutes are those of the monthly report.
func (w *web) monthRoutes() []route {
	return []route{
		{"GET /api/v1/report", Viewer, w.getMonth},
		{"GET /report.css", Viewer, w.monthStyle},
	}
}

// getMonth answers the report as json, or as html or csv for people.
func (w *web) getMonth(rw http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	format := query.Get("format")
	if format != "" && format != "json" && format != "html" && format != "csv" {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("format is json, html or csv"))
		return
	}
	report, err := w.Months.MonthlyReport(r.Context(), query.Get("month"))
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	name := fmt.Sprintf("embergate-%s-%s", report.Site.ID, report.From.Format("2006-01"))
	var b bytes.Buffer
	kind := "text/html; charset=utf-8"
	switch format {
	case "csv":
		kind = "text/csv; charset=utf-8"
		rw.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(name+".csv"))
		err = report.WriteCSV(&b, w.lang(r))
	case "html":
		sheet := "/report.css"
		if query.Get("save") != "" { // as a file of its own, for the verb
			sheet = ""
			rw.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(name+".html"))
		}
		err = report.WriteHTML(&b, w.lang(r), sheet)
	default:
		w.answer(rw, r, http.StatusOK, report)
		return
	}
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", kind)
	rw.Write(b.Bytes())
}

func (w *web) monthStyle(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/css; charset=utf-8")
	rw.Write([]byte(monthly.Style))
}
