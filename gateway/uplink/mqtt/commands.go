package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"embergate/gateway/alarm"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// command is the body of a message below TOPIC/command: an act on an alarm. Who and why go into the journal.
type command struct {
	ID   string `json:"id"` // of the alarm
	By   string `json:"by"`
	Note string `json:"note"`
}

// answer is the body of TOPIC/answer, which tells what became of a command.
type answer struct {
	Command string `json:"command"`
	ID      string `json:"id"`
	Done    bool   `json:"done"`
	Error   string `json:"error,omitempty"`
}

// Commands are obeyed one after another, at most one in commandGap: each is a line in the journal, on disk.
const (
	commandGap     = 100 * time.Millisecond
	commandTime    = 10 * time.Second
	largestCommand = 64 << 10 // bytes
)

// receive is called by paho for each message, in order, and may not wait. What the broker kept for us is no command: it
// was given for another time. What is too much is dropped; the platform hears no answer to it.
func (s *session) receive(_ paho.Client, m paho.Message) {
	if m.Retained() || !s.u.settings.Commands {
		return
	}
	select {
	case s.commands <- m:
	default:
		s.u.o.Log.Warn("command dropped, there were too many", "topic", m.Topic())
	}
}

// Answer carries a command out and answers it.
func (s *session) Answer(ctx context.Context, m paho.Message) error {
	if wait := commandGap - time.Since(s.u.answered); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
	s.u.answered = time.Now()
	act := strings.TrimPrefix(m.Topic(), s.u.settings.Topic+"/command/")
	a := answer{Command: act}
	var c command
	err := errTooLarge
	if len(m.Payload()) <= largestCommand {
		err = json.Unmarshal(m.Payload(), &c)
	}
	if err == nil {
		a.ID = c.ID
		err = do(ctx, act, c, s.acts)
	}
	if a.Done = err == nil; err != nil {
		a.Error = err.Error()
	}
	s.u.o.Log.Info("command", "act", act, "alarm", c.ID, "by", c.By, "err", err)
	body, err := json.Marshal(a)
	if err != nil {
		return nil
	}
	return s.settle(ctx, s.publish("answer", false, body))
}

var (
	errCommand  = errors.New("the commands are ack, silence and reset")
	errTooLarge = fmt.Errorf("a command has %d KiB at most", largestCommand>>10)
)

func do(ctx context.Context, name string, c command, acts Acts) error {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	a := alarm.Act{By: c.By, Via: "uplink", Note: c.Note}
	switch name {
	case "ack":
		return acts.Acknowledge(ctx, c.ID, a)
	case "silence":
		return acts.Silence(ctx, c.ID, a)
	case "reset":
		return acts.Reset(ctx, c.ID, a)
	}
	return errCommand
}
