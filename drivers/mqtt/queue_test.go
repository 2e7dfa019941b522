package mqtt

import (
	"fmt"
	"testing"
)

// sent is a message as paho gives it.
type sent struct {
	topic   string
	payload []byte
}

func (s sent) Duplicate() bool   { return false }
func (s sent) Qos() byte         { return 0 }
func (s sent) Retained() bool    { return false }
func (s sent) Topic() string     { return s.topic }
func (s sent) MessageID() uint16 { return 0 }
func (s sent) Payload() []byte   { return s.payload }
func (s sent) Ack()              {}

func put(q *queue, topic string, size int, droppable bool) bool {
	return q.put(message{Message: sent{topic, make([]byte, size)}, droppable: droppable})
}

func drain(q *queue) (topics []string) {
	for m, ok := q.next(); ok; m, ok = q.next() {
		topics = append(topics, m.Topic())
	}
	return topics
}

// Row MQ12.
func TestFullQueueDropsTelemetryAndKeepsAlarms(t *testing.T) {
	q := newQueue()
	put(q, "telemetry-old", 1, true)
	for i := range maxQueued - 2 {
		put(q, fmt.Sprint("alarm-", i), 1, false)
	}
	put(q, "telemetry-new", 1, true)
	if !put(q, "alarm-late", 1, false) || !put(q, "alarm-later", 1, false) {
		t.Fatal("an alarm found no room although telemetry was there")
	}
	if !put(q, "telemetry-last", 1, true) {
		t.Error("telemetry that finds no room ended the session")
	}
	if put(q, "alarm-too-much", 1, false) {
		t.Error("an alarm was dropped without a word")
	}
	if n := q.lost(); n != 3 {
		t.Errorf("%d lost, want 3", n)
	}
	topics := drain(q)
	if len(topics) != maxQueued || topics[0] != "alarm-0" || topics[maxQueued-2] != "alarm-late" || topics[maxQueued-1] != "alarm-later" {
		t.Errorf("%d messages, the last %q", len(topics), topics[max(0, len(topics)-3):])
	}
	if !put(q, "again", 1, false) || len(drain(q)) != 1 {
		t.Error("the emptied queue takes nothing")
	}
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	q := newQueue()
	for range maxQueuedBytes / maxPayload {
		if !put(q, "alarm", maxPayload, false) {
			t.Fatal("no room below the bound")
		}
	}
	if put(q, "alarm", 1, false) {
		t.Error("room beyond the bound")
	}
}

func TestClosedQueueTakesNothingAndKeepsWhatItHas(t *testing.T) {
	q := newQueue()
	put(q, "a", 1, false)
	q.close()
	if !put(q, "b", 1, false) {
		t.Error("closing is no overflow")
	}
	if topics := drain(q); len(topics) != 1 || topics[0] != "a" {
		t.Error(topics)
	}
}
