package mqtt

import (
	"encoding/hex"
	"strings"
	"testing"
)

// MQ16: births are not retained, so edge nodes are asked for them at every connect, and again when a message is missing; not
// more than once a minute.
func TestMosquittoEdgeNodesAreAskedToBeBornAgain(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	heard := listen(t, other(t, m.address, nil), "spBv1.0/+/NCMD/#")
	d := open(t, `
mqtt: {url: "mqtt://`+m.address+`"}
devices:
  - {id: co, topic: "spBv1.0/home/+/boiler/co", format: sparkplug-b, signals: [{id: alarm, kind: co_alarm, json: alarm}]}
  - {id: node, topic: "spBv1.0/home/+/boiler", format: sparkplug-b, signals: [{id: supply, kind: mains, json: supply}]}
`)
	r := start(t, d).up(t)
	eventually(t, "one command at connect", func() bool { return strings.Count(heard(), "spBv1.0/home/NCMD/boiler=") == 1 })
	_, payload, _ := strings.Cut(heard(), "=")
	command, err := readSparkplug([]byte(payload))
	if err != nil || len(command.metrics) != 1 || command.metrics[0].name != "Node Control/Rebirth" || command.metrics[0].value != "true" || command.time.IsZero() {
		t.Errorf("%+v, %v", command, err)
	}
	unborn, _ := hex.DecodeString("1206100a700158001805")
	m.publish(t, "spBv1.0/home/DDATA/boiler/co", unborn)
	named, _ := hex.DecodeString("120a0a06737570706c7970011806")
	m.publish(t, "spBv1.0/home/NDATA/boiler", named)
	r.tells(t, "node.supply=1")
	if n := strings.Count(heard(), "NCMD"); n != 1 {
		t.Errorf("asked %d times within a minute", n)
	}
}

func TestEdgeNodeIsAskedWhereSomethingIsMissing(t *testing.T) {
	const birth, alias, name = "1206" + "0a0461626364" + "1800", "1204" + "10637001", "120a0a06737570706c797001"
	var e edges
	for i, c := range []struct{ kind, payload, want string }{
		{"NDATA", name + "1805", "its birth is not known"},
		{"NBIRTH", birth, ""},
		{"NDATA", name + "1801", ""},
		{"NDATA", name + "1801", ""}, // the same once more
		{"NDATA", name + "1804", "messages lost: 4 came after 1"},
		{"DDATA", alias + "1805", "metric with the alias 99, which no birth has named"},
		{"NDEATH", "", ""},
		{"NDATA", name + "1806", "its birth is not known"},
	} {
		payload, err := hex.DecodeString(c.payload)
		if err != nil {
			t.Fatal(err)
		}
		if m := e.take("spBv1.0/home/"+c.kind+"/boiler", payload); m.rebirth != c.want {
			t.Errorf("message %d: %q, want %q (%v)", i+1, m.rebirth, c.want, m.err)
		}
	}
}
