package mqtt

import (
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Bounds of what waits for the gateway. At QoS 1 a broker sends no more than its window of unacknowledged messages (20
// with Mosquitto), so only QoS 0 can reach them.
const (
	maxQueued      = 4096
	maxQueuedBytes = 16 << 20
)

// message is one message as it arrived.
type message struct {
	paho.Message
	at        time.Time
	droppable bool // QoS 0, and no state of any device in it: lost telemetry comes again, a lost alarm does not
}

// queue holds messages between the connection, which never waits, and Run. The zero queue is not ready: use newQueue.
type queue struct {
	ready chan struct{} // holds one token while there may be messages

	mu        sync.Mutex // guards what follows
	messages  []message
	bytes     int
	droppable int
	dropped   int // since lost was last asked
	closed    bool
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// put appends a message. Where the queue is full it drops the oldest telemetry first; it returns false if nothing but
// messages that may not be lost waits already. After close it drops everything: what is not acknowledged comes again.
func (q *queue) put(m message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return true
	}
	for len(q.messages) >= maxQueued || q.bytes+len(m.Payload()) > maxQueuedBytes {
		if !q.dropOldestLocked() {
			if m.droppable {
				q.dropped++
			}
			return m.droppable
		}
	}
	q.messages = append(q.messages, m)
	q.bytes += len(m.Payload())
	if m.droppable {
		q.droppable++
	}
	q.wake()
	return true
}

func (q *queue) dropOldestLocked() bool {
	if q.droppable == 0 {
		return false
	}
	for i, m := range q.messages {
		if m.droppable {
			q.messages = append(q.messages[:i], q.messages[i+1:]...)
			q.bytes -= len(m.Payload())
			q.droppable--
			q.dropped++
			return true
		}
	}
	return false
}

// next takes the oldest message out.
func (q *queue) next() (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		return message{}, false
	}
	m := q.messages[0]
	q.messages = q.messages[1:]
	q.bytes -= len(m.Payload())
	if m.droppable {
		q.droppable--
	}
	if len(q.messages) > 0 {
		q.wake()
	}
	return m, true
}

// lost counts the telemetry that was dropped since the last call.
func (q *queue) lost() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// close lets nothing more in; what is in it can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
}
