package gateway

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// archive is a gateway that never ran, over a journal with the given events.
func archive(t *testing.T, lang string, events ...alarm.Event) *Gateway {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Commit(t.Context(), &store.Transaction{Events: events}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() }) // open meanwhile, as beside a daemon
	root := conf.Parse(filepath.Join(dir, "home.yaml"), fmt.Appendf(nil, "site: {id: home, language: %s}\ndata: %s\n", lang, dir), conf.OS())
	g, err := New(root, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return g
}

// TestAnExportSurvivesASpreadsheet (AL15): Excel reads the Chinese, keeps every field in its cell, and calculates nothing.
func TestAnExportSurvivesASpreadsheet(t *testing.T) {
	below := -12.5
	at := time.Date(2026, 11, 20, 16, 30, 0, 250e6, time.UTC) // 00:30 of the next day in Shanghai
	g := archive(t, "zh", alarm.Event{
		ID: "a/1", Time: at, Type: alarm.EventRaised, By: "=cmd|' /C calc'!A0", Note: "二楼,\"东\"\r\n+8613800000001",
		Alarm: &alarm.Alarm{ID: "a", Class: "fire", Value: &below, Unit: "°C", ZonePath: "二层 / 201室", DeviceName: "＝１＋１", Message: " -开窗", Name: "@SUM(A1)", Test: true},
	})
	var out bytes.Buffer
	n, err := g.ExportJournal(t.Context(), &out, "csv", Selection{})
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
	text, found := strings.CutPrefix(out.String(), "\ufeff")
	if !found || strings.Count(text, "\r\n") != 2 || strings.Count(text, "\n") != 2 {
		t.Errorf("no mark of UTF-8, or lines that do not end as RFC 4180 says:\n%q", text)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		got[name] = rows[1][i]
	}
	for name, want := range map[string]string{
		"序号": "1", "时间": "2026-11-21 00:30:00.250", "数值": "-12.5", "单位": "°C", "标记": "test",
		"操作人": "'=cmd|' /C calc'!A0", "备注": "二楼,\"东\"  +8613800000001", "设备": "'＝１＋１", "消息": "' -开窗", "名称": "'@SUM(A1)",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestAnExportSelectsByDayClassAndDevice(t *testing.T) {
	at := func(day, hour int) time.Time {
		return time.Date(2026, 11, day, hour, 0, 0, 0, time.FixedZone("", 8*3600))
	}
	event := func(id string, t time.Time, class rules.Class, device string) alarm.Event {
		return alarm.Event{ID: id, Time: t, Type: alarm.EventRaised, Alarm: &alarm.Alarm{ID: id, Device: device, Class: class}}
	}
	g := archive(t, "en",
		event("1", at(1, 0), "fire", "a"), event("2", at(1, 23), "gas", "b"), event("3", at(2, 0), "fire", "b"),
		alarm.Event{ID: "4", Time: at(2, 1), Type: "gateway.started"})
	for _, test := range []struct {
		sel  Selection
		want string
	}{
		{Selection{}, "1 2 3 4"},
		{Selection{To: "2026-11-01"}, "1 2"},
		{Selection{From: "2026-11-02"}, "3 4"},
		{Selection{From: "2026-11-01 12:00", To: "2026-11-02 00:30:00"}, "2 3"},
		{Selection{Class: "fire"}, "1 3"},
		{Selection{Device: "b", Class: "fire"}, "3"},
	} {
		var out bytes.Buffer
		if _, err := g.ExportJournal(t.Context(), &out, "jsonl", test.sel); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for d := json.NewDecoder(&out); ; {
			var e alarm.Event
			if err := d.Decode(&e); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, e.ID)
		}
		if got := strings.Join(ids, " "); got != test.want {
			t.Errorf("%+v: %s, want %s", test.sel, got, test.want)
		}
	}
	for _, sel := range []Selection{{From: "yesterday"}, {To: "2026-13-01"}, {Class: "smoke"}} {
		var bad *BadSelection
		if _, err := g.ExportJournal(t.Context(), io.Discard, "csv", sel); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", sel, err)
		}
	}
}
