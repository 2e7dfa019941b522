package console

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// noon is when the canned homes are looked at.
var noon = time.Date(2026, 11, 21, 16, 53, 20, 0, time.FixedZone("CST", 8*60*60))

func pointer[T any](v T) *T { return &v }

// home makes the things of a canned home, in a language and as they are at one time.
type home struct {
	lang i18n.Lang
	now  time.Time
}

func (h home) before(d time.Duration) time.Time { return h.now.Add(-d) }

func (h home) in(zh, en string) string {
	if h.lang == i18n.English {
		return en
	}
	return zh
}

func (h home) signal(id, name, kind string) Signal {
	k := drivers.Kinds[kind]
	return Signal{ID: id, Name: name, Kind: kind, Class: string(k.Class), Unit: k.Unit, Form: k.Form, Since: h.before(26 * time.Hour)}
}

func (h home) good(s Signal, v float64) Signal {
	s.Value, s.Quality, s.Time = v, drivers.Good, h.now
	return s
}

// bad is a signal without a reading for a time; last is its last good value, if it ever had one.
func (h home) bad(s Signal, r drivers.Reason, since time.Duration, last *float64) Signal {
	s.Quality, s.Reason, s.Since, s.Last = drivers.Bad, r, h.before(since), last
	if last != nil {
		s.Time = h.before(since + 3*time.Second)
	}
	return s
}

// well is a home in which everything is known and well.
func (h home) well() *Snapshot {
	n := h.in
	online := func(id, zh, en, zone, endpoint string, signals ...Signal) Device {
		return Device{ID: id, Name: n(zh, en), Zone: zone, Endpoint: endpoint, Online: pointer(true), Since: h.before(26 * time.Hour), Signals: signals}
	}
	kitchen := h.signal("status", n("状态字", "status word"), "status_word")
	kitchen.Label = n("正常", "no flag")
	return &Snapshot{
		Time: h.now, Started: h.before(26 * time.Hour), Version: "v0.1.0", Seq: 40,
		Site: Site{"zb-linzi-0007", n("临淄区颐康养老院", "Yikang Nursing Home, Linzi"), "370305", n("值班室", "Duty room"), "0533-7000000", 120, "Asia/Shanghai"},
		Zones: []Zone{
			{ID: "f1", Name: n("一层", "1st floor"), Path: n("一层", "1st floor"), In: ""},
			{ID: "f1-kitchen", Name: n("厨房", "kitchen"), Path: n("一层 / 厨房", "1st floor / kitchen"), In: "f1"},
			{ID: "f2", Name: n("二层", "2nd floor"), Path: n("二层", "2nd floor"), In: ""},
			{ID: "f2-201", Name: n("201室", "room 201"), Path: n("二层 / 201室", "2nd floor / room 201"), In: "f2"},
		},
		Endpoints: []Endpoint{
			{ID: "bus-1", Protocol: "modbus", URL: "rtu:///dev/serial/by-id/usb-FTDI_FT232R-if00-port0", Up: true, Since: h.before(26 * time.Hour), Load: pointer(0.37)},
			{ID: "zigbee", Protocol: "mqtt", URL: "mqtt://127.0.0.1:1883", Up: true, Since: h.before(26 * time.Hour)},
		},
		Devices: []Device{
			online("main-meter", "总配电箱", "Main distribution board", "f1", "bus-1",
				h.good(h.signal("voltage_l1", n("L1 电压", "voltage L1"), "voltage"), 231.42),
				h.good(h.signal("current_l1", n("L1 电流", "current L1"), "current"), 18.6),
				h.good(h.signal("residual", n("剩余电流", "residual current"), "residual_current"), 0),
				h.good(h.signal("cable", n("线缆温度", "cable temperature"), "cable_temperature"), 41.5)),
			online("kitchen-gas", "厨房燃气探测器", "Kitchen gas detector", "f1-kitchen", "bus-1",
				h.good(h.signal("lel", n("可燃气体", "combustible gas"), "gas_lel"), 3.2),
				h.good(h.signal("temperature", n("温度", "temperature"), "temperature"), 24.1),
				h.good(kitchen, 0),
				h.good(h.signal("valve", n("切断阀", "shut-off valve"), "relay"), 0)),
			online("smoke-kitchen", "厨房烟感", "Kitchen smoke detector", "f1-kitchen", "zigbee",
				h.good(h.signal("smoke", n("烟雾", "smoke"), "smoke"), 0),
				h.good(h.signal("battery", n("电池", "battery"), "battery"), 87)),
			online("hydrant", "消火栓末端压力", "Hydrant end pressure", "f2", "zigbee",
				h.good(h.signal("pressure", n("水压", "water pressure"), "water_pressure"), 0.31)),
			online("smoke-201", "201室烟感", "Smoke detector, room 201", "f2-201", "zigbee",
				h.good(h.signal("smoke", n("烟雾", "smoke"), "smoke"), 0),
				h.good(h.signal("battery", n("电池", "battery"), "battery"), 92)),
		},
		Components: []Component{
			{"hub", true, h.before(26 * time.Hour), i18n.Text{}}, {"store", true, h.before(26 * time.Hour), i18n.Text{}},
			{"endpoint bus-1", true, h.before(26 * time.Hour), i18n.Text{}}, {"uplink platform", true, h.before(26 * time.Hour), i18n.Text{}},
		},
		Uplinks:  []Uplink{{ID: "platform", Kind: "influxdb", Working: true, Since: h.before(26 * time.Hour), LastSuccess: h.before(4 * time.Second)}},
		Channels: []Channel{{ID: "duty-group", Kind: "wecom", Working: true, Since: h.before(26 * time.Hour), LastSuccess: h.before(7 * time.Hour)}},
	}
}

// evening is the same home on a bad evening: a gas alarm, a pre-alarm that somebody has taken, a dead sensor, a stale
// one, one never heard, a doubtful one, and a platform that cannot be reached.
func (h home) evening() *Snapshot {
	n := h.in
	s := h.well()
	s.Alarms = h.alarms()
	s.Devices[0].Signals[2] = h.good(s.Devices[0].Signals[2], 312)
	s.Devices[0].Signals[3].Quality, s.Devices[0].Signals[3].Reason = drivers.Uncertain, drivers.Stale
	s.Devices[0].Signals[3].Since = h.before(40 * time.Second)
	s.Devices[1].Signals[0] = h.good(s.Devices[1].Signals[0], 31.6)
	s.Devices[1].Signals[2].Label = n("高报, 低报", "high_alarm, low_alarm")
	s.Devices[1].Signals[3] = h.good(s.Devices[1].Signals[3], 1)
	smoke := h.signal("smoke", n("烟雾", "smoke"), "smoke")
	s.Devices[2].Signals[0] = h.good(smoke, 1)
	s.Devices[3].Signals[0] = h.bad(s.Devices[3].Signals[0], drivers.Stale, 4*time.Minute, pointer(0.31))
	s.Devices[4].Online, s.Devices[4].Since = pointer(false), h.before(12*time.Minute)
	s.Devices[4].Signals[0] = h.bad(smoke, drivers.Timeout, 12*time.Minute, pointer(0.0))
	s.Devices[4].Signals[0].Detail = "no answer within 500ms"
	s.Devices[4].Signals[1] = h.bad(h.signal("battery", n("电池", "battery"), "battery"), drivers.Timeout, 12*time.Minute, pointer(92.0))
	s.Devices = append(s.Devices, Device{ID: "co-boiler", Name: n("锅炉房一氧化碳", "Boiler room CO"), Endpoint: "zigbee", Signals: []Signal{
		h.bad(h.signal("co", n("一氧化碳", "carbon monoxide"), "co"), drivers.Offline, 26*time.Hour, nil),
		h.bad(h.signal("test", n("自检", "self-test"), "test"), drivers.Disabled, 3*time.Hour, nil),
	}})
	s.Components[3] = Component{"uplink platform", false, h.before(9 * time.Minute), i18n.T("does not work")}
	u := &s.Uplinks[0]
	u.Working, u.Since, u.LastSuccess = false, h.before(9*time.Minute), h.before(9*time.Minute)
	u.LastError, u.QueueRecords, u.QueueOldest = "dial tcp 127.0.0.1:8086: connection refused", 1284, h.before(9*time.Minute)
	s.Phone = []PhoneMessage{
		{h.before(41 * time.Second), "duty-group", n("【燃气报警】一层 / 厨房 厨房燃气探测器\n16:52:39 可燃气体 31.6 %LEL\n阀门已切断，开窗，勿动电器", "GAS ALARM 1st floor / kitchen\n16:52:39 combustible gas 31.6 %LEL\nValve is shut. Open the windows, touch no switch."), "accepted", "alarm.raised", false, false},
		{h.before(6 * time.Minute), "duty-group", n("【电气预警】一层 总配电箱\n16:47:20 剩余电流 312 mA", "ELECTRICAL PRE-ALARM 1st floor\n16:47:20 residual current 312 mA"), "accepted", "alarm.raised", true, false},
		{h.before(12 * time.Minute), "sms", n("【故障】二层 / 201室 201室烟感没有应答", "FAULT 2nd floor / room 201: the smoke detector does not answer"), "never", "fault.raised", false, false},
		{h.before(7 * time.Hour), "duty-group", n("【演练】二层 / 201室 烟雾报警", "DRILL 2nd floor / room 201 smoke"), "accepted", "alarm.raised", false, true},
	}
	return s
}

func (h home) alarms() []alarm.Alarm {
	n := h.in
	return []alarm.Alarm{{
		ID: "00000003", Rule: "kitchen-smoke", Name: n("厨房烟雾", "Kitchen smoke"),
		Class: "fire", Level: "alarm", State: alarm.Latched, Zone: "f1-kitchen", ZonePath: n("一层 / 厨房", "1st floor / kitchen"),
		Device: "smoke-kitchen", DeviceName: n("厨房烟感", "Kitchen smoke detector"), Signal: "smoke-kitchen.smoke", Value: pointer(1.0),
		Quality: "good", RaisedAt: h.before(50 * time.Minute), Count: 1, ClearedAt: pointer(h.before(45 * time.Minute)),
		AcknowledgedAt: pointer(h.before(48 * time.Minute)), AcknowledgedBy: n("张三", "Zhang San"),
	}, {
		ID: "00000007", Rule: "kitchen-gas-close-valve", Name: n("厨房燃气高报，联动切断", "Kitchen gas high, valve shut"),
		Class: "gas", Level: "alarm", State: alarm.Unacknowledged, Zone: "f1-kitchen", ZonePath: n("一层 / 厨房", "1st floor / kitchen"),
		Device: "kitchen-gas", DeviceName: n("厨房燃气探测器", "Kitchen gas detector"), Signal: "kitchen-gas.lel", Value: pointer(31.6), Unit: "%LEL",
		Quality: "good", RaisedAt: h.before(41 * time.Second), Count: 1,
		Message: n("阀门已切断，开窗，勿动电器", "The valve is shut. Open the windows, touch no switch."),
	}, {
		ID: "00000006", Rule: "residual-high", Name: n("剩余电流偏高", "Residual current high"),
		Class: "electrical", Level: "prealarm", State: alarm.Acknowledged, Zone: "f1", ZonePath: n("一层", "1st floor"),
		Device: "main-meter", DeviceName: n("总配电箱", "Main distribution board"), Signal: "main-meter.residual", Value: pointer(312.0), Unit: "mA",
		Quality: "good", RaisedAt: h.before(6 * time.Minute), Count: 2, AcknowledgedAt: pointer(h.before(4 * time.Minute)), AcknowledgedBy: n("李四", "Li Si"),
	}, {
		ID: "00000005", Rule: "device-silent", Name: n("设备没有应答", "Device does not answer"),
		Class: "fault", Level: "fault", State: alarm.Unacknowledged, Silenced: true, Zone: "f2-201", ZonePath: n("二层 / 201室", "2nd floor / room 201"),
		Device: "smoke-201", DeviceName: n("201室烟感", "Smoke detector, room 201"), Signal: "smoke-201.smoke", Value: pointer(0.0),
		Quality: "bad", RaisedAt: h.before(11 * time.Minute), Count: 1,
	}}
}

// canned is a Source and Acts that a test sets.
type canned struct {
	mu      sync.Mutex
	now     *Snapshot
	live    bool // every look at it is at the present, as with a gateway that runs
	changed chan struct{}
	journal []alarm.Event
	done    []string // acts, as "ack 00000007 by 张三 via console: note"
	refuse  error
	failing error // of Events, Alarm, Alarms
	past    func(signal string, from, to time.Time, points int) []Step
	told    []alarm.Event // of Alarm; nil: that it was raised
}

func newCanned(s *Snapshot) *canned { return &canned{now: s, changed: make(chan struct{})} }

// set makes a snapshot the present one.
func (c *canned) set(s *Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = s
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *canned) Snapshot() *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live && c.now != nil && time.Since(c.now.Time) > time.Second {
		next := *c.now
		next.Time = time.Now().In(c.now.Time.Location())
		c.now = &next
	}
	return c.now
}

func (c *canned) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *canned) Events(_ context.Context, after int64, limit int) ([]alarm.Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var events []alarm.Event
	for _, e := range c.journal {
		if e.Seq > after && len(events) < limit {
			events = append(events, e)
		}
	}
	return events, c.failing
}

func (c *canned) Alarm(_ context.Context, id string) (alarm.Alarm, []alarm.Event, error) {
	s := c.Snapshot()
	i := slices.IndexFunc(s.Alarms, func(a alarm.Alarm) bool { return a.ID == id })
	if i < 0 {
		return alarm.Alarm{}, nil, fs.ErrNotExist
	}
	a := s.Alarms[i]
	if c.told != nil {
		return a, c.told, c.failing
	}
	return a, []alarm.Event{{Seq: 1, ID: a.ID + ".1", Time: a.RaisedAt, Type: alarm.EventRaised, Alarm: &a}}, c.failing
}

func (c *canned) Alarms(_ context.Context, all bool, limit int) ([]alarm.Alarm, error) {
	alarms := slices.Clone(c.Snapshot().Alarms)
	if all {
		alarms = append(alarms, alarm.Alarm{ID: "00000001", Name: "closed long ago", Class: "fire", Level: "alarm", State: alarm.Closed,
			RaisedAt: noon.Add(-50 * time.Hour), ClosedAt: pointer(noon.Add(-49 * time.Hour)), Verdict: "drill"})
	}
	return alarms[:min(limit, len(alarms))], c.failing
}

func (c *canned) Rule(_ context.Context, id string) ([]RuleState, error) {
	if id != "00000007" { // the id that the test of the description asks for
		return nil, fs.ErrNotExist
	}
	return []RuleState{{Key: "gas-high@kitchen-gas.lel", Rule: "gas-high", When: "value >= 25", Raises: "true", Clears: "false", Operands: []Operand{{"value", "32.5"}}}}, c.failing
}

func (c *canned) History(_ context.Context, signal string, from, to time.Time, points int) ([]Step, error) {
	if c.past != nil {
		return c.past(signal, from, to, points), nil
	}
	one := 1.5
	return []Step{{Time: from, Min: &one, Mean: &one, Max: &one, Last: &one, Good: 60}, {Time: from.Add(time.Minute), Bad: 60, Why: "stale"}, {Time: from.Add(2 * time.Minute)}}, c.failing
}

func (c *canned) FindAlarms(ctx context.Context, q AlarmQuery) ([]alarm.Alarm, error) {
	alarms, err := c.Alarms(ctx, !q.Open, 1000)
	alarms = slices.DeleteFunc(alarms, func(a alarm.Alarm) bool {
		return q.Class != "" && a.Class != q.Class || q.Device != "" && a.Device != q.Device || a.RaisedAt.Before(q.From)
	})
	return alarms[:min(len(alarms), q.Limit)], err
}

func (c *canned) Drills(context.Context) ([]Drill, error) {
	over := noon.Add(-time.Hour)
	return []Drill{{ID: "drill-1", Signal: "kitchen-gas.lel", By: "li", Started: over.Add(-time.Minute), Until: over, Ended: &over, Why: "li ended it",
		Steps: []DrillStep{{2, alarm.EventRaised, "Gas", ""}, {2.4, "delivered", "hook", ""}, {35, alarm.EventAcknowledged, "Gas", "zhang"}}}}, c.failing
}

func (c *canned) StartDrill(_ context.Context, signal string, until time.Time, a alarm.Act) (Drill, error) {
	return Drill{ID: "drill-2", Signal: signal, By: a.By, Started: noon, Until: until, Steps: []DrillStep{}}, c.did("drill until "+until.Format(time.RFC3339), signal, a)
}

func (c *canned) StopDrill(_ context.Context, a alarm.Act) (Drill, error) {
	return Drill{ID: "drill-2", Started: noon, Until: noon, Ended: &noon, Steps: []DrillStep{}}, c.did("stop", "drill", a)
}

func (c *canned) TestZone(_ context.Context, zone string, until time.Time, a alarm.Act) (ZoneTest, error) {
	return ZoneTest{Zone: zone, By: a.By, Since: noon, Until: until}, c.did("test until "+until.Format(time.RFC3339), zone, a)
}

func (c *canned) EndTest(_ context.Context, zone string, a alarm.Act) (ZoneTest, error) {
	return ZoneTest{Zone: zone, By: a.By, Since: noon, Until: noon}, c.did("end of test", zone, a)
}

func (c *canned) did(act, id string, a alarm.Act) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return c.refuse
	}
	c.done = append(c.done, act+" "+id+" by "+a.By+" via "+a.Via+": "+a.Note)
	return nil
}

func (c *canned) Acknowledge(_ context.Context, id string, a alarm.Act) error {
	return c.did("ack", id, a)
}
func (c *canned) Silence(_ context.Context, id string, a alarm.Act) error {
	return c.did("silence", id, a)
}
func (c *canned) Reset(_ context.Context, id string, a alarm.Act) error { return c.did("reset", id, a) }
func (c *canned) Verdict(_ context.Context, id, verdict string, a alarm.Act) error {
	return c.did("verdict "+verdict, id, a)
}
func (c *canned) Shelve(_ context.Context, id string, until time.Time, second string, a alarm.Act) error {
	return c.did("shelve until "+until.Format(time.RFC3339)+" with "+second, id, a)
}

// consoleOf is a console of a canned home.
func consoleOf(t testing.TB, c *canned, l i18n.Lang) http.Handler {
	t.Helper()
	return New(optionsOf(c, l))
}

// optionsOf are those of a console of a canned home that everybody may use.
func optionsOf(c *canned, l i18n.Lang) Options {
	return Options{
		Lang: l, Source: c, Acts: c, History: c, Archive: c, Writes: c, Adding: c, Notes: c, Couriers: c, Rounds: c, Walks: c, Months: c, Refused: c.refused, Demo: true, Log: slog.New(slog.DiscardHandler),
		Metrics: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.Write([]byte("embergate_clock_ok 1\n")) }),
		Frames: func(device string) ([]drivers.Frame, bool) {
			at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
			return []drivers.Frame{{Time: at, Sent: true, Bytes: []byte{1, 3, 0, 0, 0, 1, 0x84, 0x0A}}, {Time: at, Bytes: []byte{0xFF}, Note: "noise"}}, device != "nobody"
		},
	}
}

// refused is one line that the platform did not take.
func (c *canned) refused(context.Context, string, int) ([]Refused, error) {
	return []Refused{{Time: noon, Reason: "field type conflict", Lines: "gas,device=kitchen-gas lel=1i 1\n"}}, nil
}
