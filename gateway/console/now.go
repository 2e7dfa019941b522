package console

import "embergate/drivers/i18n"

// nowPage is the first page: how the home is, the open alarms, then every place.
func (w *web) nowPage() page {
	return page{path: "/", role: Viewer, title: i18n.T("Now"), nav: "/", body: "now.html", view: w.seeNow, shared: true}
}

// nowView is what the first page shows.
type nowView struct {
	Alarms []alarmView
	Zones  []zoneView
	Phone  []phoneView
	Demo   bool
	linksView
}

func (w *web) seeNow(q *look) (any, error) {
	s, l := q.Snapshot, q.Lang
	v := nowView{Zones: seeZones(s, l), Demo: w.Demo, linksView: seeLinks(s, l)}
	for _, a := range s.Alarms {
		v.Alarms = append(v.Alarms, seeAlarm(a, s, l))
	}
	for _, m := range s.Phone {
		v.Phone = append(v.Phone, seeMessage(m, s.Time, l))
	}
	return v, nil
}
