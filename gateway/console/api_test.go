package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("EMBERGATE_CANNED"); address != "" {
		serveCanned(address)
		return
	}
	goleak.VerifyTestMain(browsing{m})
}

// ask sends one request to a handler, as a program on the same machine does; headers come in pairs.
func ask(t testing.TB, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func freshEvening(l i18n.Lang) *canned {
	c := newCanned(home{l, time.Now().In(noon.Location())}.evening())
	a := c.now.Alarms[0]
	c.journal = []alarm.Event{
		{Seq: 1, ID: "e1", Time: noon, Type: "gateway.started"},
		{Seq: 2, ID: "e2", Time: noon, Type: alarm.EventRaised, Alarm: &a},
		{Seq: 3, ID: "e3", Time: noon, Type: alarm.EventAcknowledged, Alarm: &a, By: "张三", Via: "console"},
	}
	return c
}

// openAPI is the description as far as the tests read it.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string
		Security    *[]any // nil: as the whole says; empty: open to all
		Responses   map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]map[string]any }
}

func described(t testing.TB) openAPI {
	data, err := files.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var d openAPI
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDescriptionHasExactlyTheRoutes(t *testing.T) {
	var got, want []string
	for path, methods := range described(t).Paths {
		for method := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	w := &web{Options: Options{Metrics: http.NotFoundHandler()}}
	for _, r := range w.all() {
		if _, path, _ := strings.Cut(r.pattern, " "); strings.HasPrefix(path, "/api/") || slices.Contains([]string{"/healthz", "/readyz", "/metrics"}, path) { // pages are for people
			want = append(want, r.pattern)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("described %v\nserved %v", got, want)
	}
}

// schema checks a JSON value against the part of JSON Schema that openapi.json uses, and lists what differs.
func (d openAPI) schema(at string, s map[string]any, v any) []string {
	if ref, ok := s["$ref"].(string); ok {
		named, found := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if !found {
			return []string{at + ": no schema " + ref}
		}
		return d.schema(at, named, v)
	}
	if choices, ok := s["oneOf"].([]any); ok {
		var bad []string
		for _, c := range choices {
			if bad = d.schema(at, c.(map[string]any), v); len(bad) == 0 {
				return nil
			}
		}
		return append(bad, at+": is none of what it may be")
	}
	var bad []string
	types, _ := s["type"].([]any)
	if one, ok := s["type"].(string); ok {
		types = []any{one}
	}
	if kind := jsonType(v); !slices.Contains(types, any(kind)) && !(kind == "integer" && slices.Contains(types, any("number"))) {
		return []string{fmt.Sprintf("%s: is %s, not %v", at, kind, types)}
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		bad = append(bad, fmt.Sprintf("%s: %v is none of %v", at, v, enum))
	}
	switch v := v.(type) {
	case string:
		if _, err := time.Parse(time.RFC3339, v); s["format"] == "date-time" && (err != nil || strings.HasPrefix(v, "0001-")) {
			bad = append(bad, fmt.Sprintf("%s: %q is no time", at, v))
		}
	case []any:
		for i, item := range v {
			bad = append(bad, d.schema(fmt.Sprintf("%s[%d]", at, i), s["items"].(map[string]any), item)...)
		}
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, key := range required {
			if _, ok := v[key.(string)]; !ok {
				bad = append(bad, fmt.Sprintf("%s: %s is missing", at, key))
			}
		}
		for key, item := range v {
			if p, ok := properties[key].(map[string]any); ok {
				bad = append(bad, d.schema(at+"."+key, p, item)...)
			} else if s["additionalProperties"] == false {
				bad = append(bad, fmt.Sprintf("%s: %s is not described", at, key))
			}
		}
	}
	return bad
}

func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// answers checks that an answer is what openapi.json says of its route and status, and is the JSON value in it.
func (d openAPI) answers(t *testing.T, route, method string, rec *httptest.ResponseRecorder) any {
	t.Helper()
	content := d.Paths[route][strings.ToLower(method)].Responses[fmt.Sprint(rec.Code)].Content
	kind, _, _ := strings.Cut(rec.Header().Get("Content-Type"), ";")
	described, ok := content[kind]
	if !ok {
		t.Fatalf("%s %s: %d with %s is not described: %s", method, route, rec.Code, kind, rec.Body)
	}
	var v any
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s %s: %v in %s", method, route, err, rec.Body)
	}
	for _, bad := range d.schema("", described.Schema, v) {
		t.Errorf("%s %s: %s", method, route, bad)
	}
	return v
}

func TestEveryAnswerIsAsDescribed(t *testing.T) {
	d := described(t)
	sources := map[string]*Snapshot{"starting": nil, "well": home{i18n.Chinese, noon}.well(), "evening": home{i18n.English, noon}.evening()}
	for name, s := range sources {
		t.Run(name, func(t *testing.T) {
			c := freshEvening(i18n.Chinese)
			if c.now = s; s == nil {
				c.now = &Snapshot{}
			}
			h := consoleOf(t, c, i18n.Chinese)
			if s == nil {
				c.now = nil
			}
			for path, methods := range d.Paths {
				if _, get := methods["get"]; !get || path == "/api/v1/stream" || path == "/healthz" || path == "/metrics" {
					continue
				}
				if s == nil && strings.Contains(path, "alarms") {
					continue // the canned source keeps its alarms in the snapshot
				}
				rec := ask(t, h, "GET", strings.NewReplacer("{id}", "00000007", "{n}", "1").Replace(path), "")
				if kind := rec.Header().Get("Content-Type"); !strings.Contains(kind, "json") {
					continue // a picture, and pages for people
				}
				d.answers(t, path, "GET", rec)
			}
		})
	}
}

func TestReads(t *testing.T) {
	c := freshEvening(i18n.Chinese)
	h := consoleOf(t, c, i18n.Chinese)
	for _, test := range []struct {
		name, target string
		status       int
		wants        string // regular expression
	}{
		{"alive", "/healthz", 200, `^ok\n$`},
		{"the gateway's metrics", "/metrics", 200, `^embergate_clock_ok 1\n$`},
		{"readiness says which component fails, in Chinese", "/readyz", 503, `^\{"ready":false,.*\{"name":"uplink platform","working":false,"since":"2[^"]+","why":"不工作"\}`},
		{"and in English where asked", "/readyz?lang=en", 503, `"why":"does not work"`},
		{"the site", "/api/v1/site", 200, `^\{"id":"zb-linzi-0007","name":"临淄区颐康养老院","region":"370305",`},
		{"the state in one word and one sentence", "/api/v1/status", 200, `"mood":"alarm","headline":"一层 / 厨房：厨房燃气高报，联动切断","alarms_open":4,"alarms_unacknowledged":2,`},
		{"the state in English", "/api/v1/status?lang=en", 200, `"headline":"一层 / 厨房: 厨房燃气高报，联动切断"`},
		{"a bad signal has no value, but its last one", "/api/v1/signals", 200, `"signal":"smoke-201.battery",[^}]*"value":null,"quality":"bad","reason":"timeout",[^}]*"last":92\}`},
		{"a zero is a value", "/api/v1/signals", 200, `"signal":"smoke-201.smoke",[^}]*"value":null,[^}]*"last":0\}`},
		{"a device that was never heard", "/api/v1/devices", 200, `"id":"co-boiler",[^}]*"online":null,"signals":`},
		{"frames of a device", "/api/v1/devices/kitchen-gas/frames", 200, `^\[\{"time":"2026-11-21T20:00:00Z","sent":true,"bytes":"01 03 00 00 00 01 84 0a","note":""\},\{"time":"2026-11-21T20:00:00Z","sent":false,"bytes":"ff","note":"noise"\}\]\n$`},
		{"a device that there is not", "/api/v1/devices/nobody/frames", 404, `没有设备`},
		{"zones with their paths", "/api/v1/zones", 200, `"path":"一层 / 厨房","in":"f1"`},
		{"open alarms", "/api/v1/alarms", 200, `^\[\{"id":"00000003",.*"00000005"[^}]*\}\]\n$`},
		{"all alarms", "/api/v1/alarms?state=all", 200, `"closed long ago"`},
		{"a rule with what it reads", "/api/v1/rules/00000007", 200, `"operands":\[\{"text":"value","value":"32.5"\}\],"raises":"true"`},
		{"a rule that there is not", "/api/v1/rules/nobody", 404, `没有生效的规则`},
		{"as many alarms as asked for", "/api/v1/alarms?limit=1", 200, `^\[\{[^}]*\}\]\n$`},
		{"a state that there is not", "/api/v1/alarms?state=closed", 400, `"detail":"state 是 open 或 all，limit 是整数"`},
		{"one alarm with its events", "/api/v1/alarms/00000007", 200, `^\{"id":"00000007",.*"events":\[\{"seq":1,`},
		{"an alarm that there is not", "/api/v1/alarms/x", 404, `"title":"没有找到","status":404,"detail":"没有报警 \\"x\\""`},
		{"events after a number", "/api/v1/events?after=1&limit=1", 200, `^\[\{"seq":2,[^\]]*\]\n$`},
		{"no events are an empty list", "/api/v1/events?after=99", 200, `^\[\]\n$`},
		{"a number that is none", "/api/v1/events?after=-1", 400, `"title":"请求无法理解"`},
		{"history: a value, a stale step, a gap", "/api/v1/history?signal=kitchen-gas.lel&from=2026-11-21T10:00:00Z&to=2026-11-21T11:00:00Z", 200,
			`"steps":\[\{"time":"2026-11-21T[^"]*","min":1.5,"mean":1.5,"max":1.5,"last":1.5,"good_s":60,"bad_s":0\},\{[^}]*"last":null,"good_s":0,"bad_s":60,"reason":"stale"\},\{[^}]*"last":null,"good_s":0,"bad_s":0\}\]`},
		{"history of the last day, by Unix time", "/api/v1/history?signal=kitchen-gas.lel&to=1795000000", 200, `"from":"2026-11-17T[^"]*","to":"2026-11-18T`},
		{"history of a signal that there is not", "/api/v1/history?signal=nobody.x", 404, `没有信号`},
		{"history that ends before it begins", "/api/v1/history?signal=kitchen-gas.lel&from=1795000000&to=1794000000", 400, `31`},
		{"history of a time that is none", "/api/v1/history?signal=kitchen-gas.lel&from=yesterday", 400, `RFC 3339|2026-11-21T20:00:00`},
		{"queues", "/api/v1/queues", 200, `"records":1284,"oldest":"2[^"]+","dropped":0\}\],"channels":\[\{"id":"duty-group"`},
		{"what a platform refused", "/api/v1/queues/platform/refused", 200, `^\[\{"time":"2026[^"]*","reason":"field type conflict","lines":"gas,device=kitchen-gas lel=1i 1\\n"\}\]`},
		{"what nobody refused", "/api/v1/queues/nobody/refused", 404, `没有上行链路`},
		{"the description", "/api/v1/openapi.json", 200, `^\{\n  "openapi": "3.1.0"`},
		{"a path that there is not", "/api/v1/nothing", 404, `"detail":"/api/v1/nothing 没有内容"`},
		{"an asset that there is not", "/assets/nothing.css", 404, `"status":404`},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := ask(t, h, "GET", test.target, "")
			if rec.Code != test.status || !regexp.MustCompile(test.wants).MatchString(rec.Body.String()) {
				t.Errorf("%d %s\nwant %d %s", rec.Code, rec.Body, test.status, test.wants)
			}
		})
	}
}

func TestReadyzIsReadyOnlyWhereEverythingWorksAndIsFresh(t *testing.T) {
	c := newCanned(home{i18n.Chinese, time.Now()}.well())
	h := consoleOf(t, c, i18n.English)
	if rec := ask(t, h, "GET", "/readyz", ""); rec.Code != 200 || !strings.HasPrefix(rec.Body.String(), `{"ready":true,`) {
		t.Error(rec.Code, rec.Body)
	}
	c.set(home{i18n.Chinese, time.Now().Add(-time.Minute)}.well())
	rec := ask(t, h, "GET", "/readyz", "")
	if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"why":"the gateway has not renewed its state since `) ||
		strings.Count(rec.Body.String(), `"name":"hub"`) != 1 {
		t.Error("a hub that stands still:", rec.Code, rec.Body)
	}
	c.set(nil)
	if rec := ask(t, h, "GET", "/readyz", ""); rec.Code != 503 || !strings.Contains(rec.Body.String(), "is starting") {
		t.Error("before the first snapshot:", rec.Code, rec.Body)
	}
}

func TestASourceThatFailsIsAProblemWithoutItsInsides(t *testing.T) {
	c := freshEvening(i18n.Chinese)
	c.failing = errors.New("store: /var/lib/secret/state.db: disk I/O error")
	h := consoleOf(t, c, i18n.English)
	d := described(t)
	for _, path := range []string{"/api/v1/alarms", "/api/v1/events", "/api/v1/alarms/{id}", "/api/v1/history"} {
		rec := ask(t, h, "GET", strings.Replace(path, "{id}", "00000007", 1)+"?signal=kitchen-gas.lel", "")
		d.answers(t, path, "GET", rec)
		if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") {
			t.Error(path, rec.Code, rec.Body)
		}
	}
}

func TestANumberThatJSONCannotSayIsNull(t *testing.T) {
	c := newCanned(home{i18n.Chinese, noon}.well())
	c.now.Devices[0].Signals[0].Value = math.NaN()
	c.now.Devices[0].Signals[1].Value = math.Inf(1)
	rec := ask(t, consoleOf(t, c, i18n.Chinese), "GET", "/api/v1/signals", "")
	if rec.Code != 200 || strings.Count(rec.Body.String(), `"value":null`) != 2 {
		t.Error(rec.Code, rec.Body)
	}
}

func TestActs(t *testing.T) {
	refused := &alarm.Refused{Cause: alarm.ErrState, Text: i18n.T("there is no alarm %q", "because")}
	for _, test := range []struct {
		name, act, body string
		refuse          error
		origin          string
		status          int
		wants           string // of what was done, or of the answer
	}{
		{"acknowledge", "ack", `{"by": " 张三 ", "note": "on my way"}`, nil, "", 200, "ack 00000007 by 张三 via api: on my way"},
		{"acknowledge on the page", "ack", `{"by":"张三"}`, nil, "http://127.0.0.1:8080", 200, "ack 00000007 by 张三 via console: "},
		{"silence", "silence", `{"by":"张三"}`, nil, "", 200, "silence 00000007 by 张三 via api: "},
		{"reset", "reset", `{"by":"张三"}`, nil, "", 200, "reset 00000007 by 张三 via api: "},
		{"verdict", "verdict", `{"by":"张三","verdict":"false:steam"}`, nil, "", 200, "verdict false:steam 00000007 by 张三 via api: "},
		{"shelve", "shelve", `{"by":"张三","until":"2026-11-21T18:00:00+08:00","second":"李四","note":"works"}`, nil, "", 200,
			"shelve until 2026-11-21T18:00:00+08:00 with 李四 00000007 by 张三 via api: works"},
		{"shelve without an end", "shelve", `{"by":"张三"}`, nil, "", 400, "until"},
		{"without a name", "ack", `{"note":"x"}`, nil, "", 400, "缺少 by"},
		{"with blanks for a name", "ack", `{"by":"  "}`, nil, "", 400, "缺少 by"},
		{"with a name too long", "ack", `{"by":"` + strings.Repeat("张", 41) + `"}`, nil, "", 400, "姓名最多 40 个字"},
		{"with a note too long", "ack", `{"by":"张三","note":"` + strings.Repeat("x", 501) + `"}`, nil, "", 400, "备注最多 500 个字"},
		{"with a key that there is not", "ack", `{"by":"张三","force":true}`, nil, "", 400, "force"},
		{"with half a body", "ack", `{"by":`, nil, "", 400, "unexpected EOF"},
		{"with two bodies", "ack", `{"by":"张三"}{"by":"李四"}`, nil, "", 400, "more than one value"},
		{"with a body of another kind", "ack", `["张三"]`, nil, "", 400, "JSON"},
		{"with a body too long", "ack", `{"by":"` + strings.Repeat("x", maxBody) + `"}`, nil, "", 413, "16384"},
		{"that the alarm refuses", "ack", `{"by":"张三"}`, refused, "", 409, `没有报警 \"because\"`},
		{"that lacks something", "ack", `{"by":"张三"}`, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("closed")}, "", 400, "已结案"},
		{"on an alarm that there is not", "ack", `{"by":"张三"}`, &alarm.Refused{Cause: alarm.ErrNotFound, Text: i18n.T("closed")}, "", 404, "已结案"},
		{"that the gateway fails at", "ack", `{"by":"张三"}`, errors.New("disk full"), "", 500, "原因见日志"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := freshEvening(i18n.Chinese)
			c.refuse = test.refuse
			headers := []string{}
			if test.origin != "" {
				headers = []string{"Origin", test.origin}
			}
			rec := ask(t, consoleOf(t, c, i18n.Chinese), "POST", "/api/v1/alarms/00000007/"+test.act, test.body, headers...)
			if rec.Code != test.status {
				t.Fatalf("%d %s, want %d", rec.Code, rec.Body, test.status)
			}
			described(t).answers(t, "/api/v1/alarms/{id}/"+test.act, "POST", rec)
			if test.status == 200 {
				if !slices.Equal(c.done, []string{test.wants}) {
					t.Errorf("done %q, want %q", c.done, test.wants)
				}
				return
			}
			if len(c.done) != 0 || !strings.Contains(rec.Body.String(), test.wants) {
				t.Errorf("done %q, answered %s, want %s", c.done, rec.Body, test.wants)
			}
		})
	}
}

func FuzzActBody(f *testing.F) {
	for _, body := range []string{`{"by":"张三"}`, `{"by":"x","until":"2026-11-21T18:00:00+08:00"}`, `{}`, `[`, "\x00", `{"by":null}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", io.NopCloser(strings.NewReader(body)))
		r.Header.Set("Content-Type", "application/json")
		q, status, why := readRequest(r)
		if (status == 0) != (why.Format == "") || status == 0 && len([]rune(q.By)) > longestName {
			t.Errorf("%q: %d %v %+v", body, status, why, q)
		}
	})
}
