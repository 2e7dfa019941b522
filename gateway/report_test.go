package gateway

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The gateway's own series as they reach the platform, through the real encoder: contract, section 7 (TS01). The versions
// of `gateway` and `health` that a dashboard reads are these lines; what varies is x.
func TestTheGatewaysOwnSeries(t *testing.T) {
	url, lines := linesAt(t)
	s, dir := newScript(), t.TempDir()
	config := strings.Replace(fmt.Sprintf(scriptedHome, dir, "", "0s"), "{id: home, name: home, language: en}",
		`{id: home, name: "颐康, 2", region: "370305", language: en, beds: 60, position: {lat: 36.5, lon: 118}, contact: {name: Duty room, phone: "0533-1"}}`, 1)
	startConfig(t, s, dir, config+fmt.Sprintf("uplinks: [{id: platform, influxdb: {url: %q, bucket: b}}]\n", url))
	varies := regexp.MustCompile(`(uptime_s|queue_age_s|queue_records|clock_ok)=[0-9.e+-]+(i?)| \d{19}$`)
	seen := func() []string {
		var list []string
		for _, l := range lines() {
			list = append(list, varies.ReplaceAllString(l, "$1=x$2"))
		}
		return list
	}
	for i, want := range []string{
		`gateway,region=370305,site=home version="",uptime_s=x,queue_age_s=x,coverage=0.0,devices=1i,devices_online=0i,signals=2i,signals_bad=2i,alarms_open=0i,queue_records=xi,clock_ok=xi,roster_ok=0i=x`,
		`site,region=370305,site=home name="颐康, 2",contact="Duty room",phone="0533-1",beds=60i,lat=36.5,lon=118.0=x`,
		`health,device=gas,region=370305,site=home,zone=kitchen online=0i,bad=2i,stale=0i,reason=""=x`,
		`health,device=gas,region=370305,site=home,zone=kitchen online=1i,bad=1i,stale=0i,reason=""=x`,
		`gas,device=gas,region=370305,site=home,zone=kitchen lel=7.0=x`,
	} {
		if i == 3 { // before, nothing was ever read
			s.reads("gas.lel", 7)
		}
		eventually(t, want, func() bool { return slices.Contains(seen(), want) })
	}
}
