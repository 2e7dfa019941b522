package store

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// thousandLines is a batch of 1,000 lines as an uplink stores it: gzip level 1.
func thousandLines(t testing.TB, second int) Batch {
	t.Helper()
	var body bytes.Buffer
	w, err := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	at := noon.Add(time.Duration(second) * time.Second)
	for i := range 1000 {
		fmt.Fprintf(w, "electrical,site=zb-linzi-0007,region=370305,zone=f%d,device=meter-%d voltage_l1=%.1f,current_l1=%.3f %d\n",
			i%6, i, 220+float64((i*7919+second*31)%97)/10, float64((i*104729+second*17)%9973)/1000, at.UnixNano())
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return Batch{Lines: 1000, Oldest: at, Body: body.Bytes()}
}

// One event, one record, one message: what an alarm costs until people may be told. -benchtime 300x or more.
func BenchmarkCommit(b *testing.B) {
	s := openAt(b, b.TempDir())
	before := s.Written()[StateFile]
	for i := 0; b.Loop(); i++ {
		e := raised(fmt.Sprint("a", i), noon.Add(time.Duration(i)*time.Second))
		commit(b, s, &Transaction{
			Events:   []alarm.Event{e},
			Records:  []alarm.Record{{Key: fmt.Sprint("smoke/", i%50), Alarm: e.Alarm}},
			Messages: []Message{{Channel: "sms", Event: e.ID, Type: e.Type, Alarm: e.Alarm.ID, Class: "fire", Created: noon, Body: make([]byte, 800)}},
		})
	}
	b.ReportMetric(float64(s.Written()[StateFile]-before)/float64(b.N), "written-B/op")
}

func BenchmarkAppendThousandLines(b *testing.B) {
	s := openAt(b, b.TempDir())
	q := s.Queue("platform", QueueLimit{})
	var batches [16]Batch
	for i := range batches {
		batches[i] = thousandLines(b, i)
	}
	before := s.Written()[SeriesFile]
	for i := 0; b.Loop(); i++ {
		if err := q.Append(b.Context(), batches[i%len(batches)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Written()[SeriesFile]-before)/float64(b.N), "written-B/op")
	b.ReportMetric(float64(q.Stats().Bytes)/float64(b.N), "body-B/op")
	s.series.checkpoint()
	var pages int64
	if err := s.series.readers.QueryRowContext(b.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(pages*pageSize)/float64(q.Stats().Records), "file-B/line")
}

// One operation is one batch of 1,000 lines, read ten at a time and removed as an uplink would after each delivery.
func BenchmarkDrain(b *testing.B) {
	s := openAt(b, b.TempDir())
	q := s.Queue("platform", QueueLimit{})
	batch := thousandLines(b, 0)
	for range b.N {
		if err := q.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for left := b.N; left > 0; {
		batches, err := q.Oldest(b.Context(), 10)
		if err != nil || len(batches) == 0 {
			b.Fatal(len(batches), err)
		}
		var ids []int64
		for _, batch := range batches {
			ids = append(ids, batch.ID)
		}
		if err := q.Remove(b.Context(), ids...); err != nil {
			b.Fatal(err)
		}
		left -= len(ids)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "lines/s")
}

// One page of a hundred out of 100,000 events.
func BenchmarkQuery(b *testing.B) {
	s := openAt(b, b.TempDir())
	fill(b, s, 100_000)
	middle := noon.Add(50_000 * time.Second)
	for name, q := range map[string]EventQuery{
		"newest":                {},
		"time":                  {From: middle, To: middle.Add(time.Hour)},
		"device":                {Device: "device-7"},
		"class":                 {Class: "gas", To: middle},
		"device class and time": {Device: "device-8", Class: rules.Class("fire"), From: middle},
	} {
		q.Limit = 100
		b.Run("events by "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.FindEvents(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("alarms by "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Alarms(b.Context(), AlarmQuery{State: "open", From: q.From, To: q.To, Device: q.Device, Class: q.Class, Limit: 100}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("verify the whole journal", func(b *testing.B) {
		for b.Loop() {
			if n, err := s.VerifyJournal(b.Context()); n != 100_000 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s = reopen(b, s)
		}
	})
}
