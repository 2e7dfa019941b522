package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Sparkplug B: edge nodes publish protobuf payloads under spBv1.0/GROUP/TYPE/EDGE[/DEVICE]. A birth message names every
// metric, and gives it a short alias; later messages may carry the alias alone. All messages of an edge node, its devices
// included, carry one sequence number, so a lost one is noticed, and the node is asked to be born again. Births are not
// retained: the nodes are asked at every connect too. Source: Sparkplug 3.0, chapters 4 to 6; eclipse/tahu sparkplug_b.proto.
//
// A device's topic is spBv1.0/GROUP/+/EDGE or spBv1.0/GROUP/+/EDGE/DEVICE, and a signal's json the name of a metric, in
// which dots are written \. as in every json path.
const sparkplugPrefix = "spBv1.0/"

// sparkTopic is what a topic says.
type sparkTopic struct{ group, kind, edge, device string }

func readSparkTopic(topic string) (t sparkTopic, ok bool) {
	levels := strings.Split(topic, "/")
	if len(levels) < 4 || len(levels) > 5 || levels[0]+"/" != sparkplugPrefix {
		return t, false
	}
	t = sparkTopic{group: levels[1], kind: levels[2], edge: levels[3]}
	if len(levels) == 5 {
		t.device = levels[4]
	}
	return t, true
}

var errSparkTopic = errors.New("the topic of a Sparkplug device is spBv1.0/GROUP/+/EDGE or spBv1.0/GROUP/+/EDGE/DEVICE")

func checkSparkplug(topic string) error {
	t, ok := readSparkTopic(topicOf(topic))
	if !ok || t.kind != "+" || strings.ContainsAny(t.group+t.edge+t.device, "+#") {
		return errSparkTopic
	}
	return nil
}

// sparkplugFilters are all messages of the device's edge node: its death is the device's, and only who hears all of them
// sees a gap.
func sparkplugFilters(topic string) []string {
	t, ok := readSparkTopic(topicOf(topic))
	if !ok {
		return nil
	}
	return []string{sparkplugPrefix + t.group + "/+/" + t.edge + "/#"}
}

// edges are what is known of the edge nodes of an endpoint, by group/edge. Only Run's goroutine uses it.
type edges struct {
	known map[string]*edge
}

// edge is one edge node between its birth and its death.
type edge struct {
	born    bool
	bdSeq   string            // of its birth; a death of another birth is old
	seq     uint64            // of its latest message
	aliases map[uint64]string // an alias is one metric's, of the node and all its devices
	asked   time.Time         // to be born again
}

// maxAliases bounds what a mad edge node can make us keep.
const maxAliases = 1 << 16

// sparkMessage is a message of an edge node, read once for all devices that it reaches.
type sparkMessage struct {
	sparkTopic
	sparkPayload
	rebirth string // why the node is to be asked to be born again; "" where there is no need
	err     error
}

var (
	errRepeated = errors.New("the message is there twice")
	errOldDeath = errors.New("the death of an earlier birth")
)

// unwrapSparkplug gives the metrics of a device's message as a JSON object, null where the metric says so.
func unwrapSparkplug(w *wrapping, p *publication, _ string) ([]sample, error) {
	own, ok := readSparkTopic(w.topic)
	if p.spark == nil {
		p.spark = w.edges.take(p.topic, p.payload)
	}
	m := p.spark
	if !ok || m.group != own.group || m.edge != own.edge {
		return nil, nil
	}
	said := presence{by: "edge node " + own.edge, online: true}
	switch {
	case errors.Is(m.err, errRepeated), errors.Is(m.err, errOldDeath), m.device != own.device && m.kind != "NDEATH":
		return nil, nil
	case m.err != nil:
		return nil, m.err
	case m.kind == "NDEATH", m.kind == "DDEATH":
		said.online = false
		return []sample{{presence: said}}, nil
	}
	s := sample{time: m.time, text: m.json()}
	if strings.HasSuffix(m.kind, "BIRTH") {
		s.presence = said
	}
	return []sample{s}, nil
}

// take reads a message of an edge node, and keeps what it says of the node.
func (e *edges) take(topic string, payload []byte) *sparkMessage {
	m := &sparkMessage{}
	var ok bool
	if m.sparkTopic, ok = readSparkTopic(topic); !ok || m.kind == "NCMD" || m.kind == "DCMD" {
		return &sparkMessage{} // a host's state or command: of no device
	}
	if m.sparkPayload, m.err = readSparkplug(payload); m.err != nil {
		return m
	}
	node := e.node(m.group + "/" + m.edge)
	switch m.kind {
	case "NBIRTH":
		*node = edge{born: true, bdSeq: m.value("bdSeq"), seq: m.seq, aliases: map[uint64]string{}}
	case "NDEATH":
		if seq := m.value("bdSeq"); node.born && seq != "" && node.bdSeq != "" && seq != node.bdSeq {
			m.err = errOldDeath
			return m
		}
		node.born = false
		return m
	case "NDATA", "DBIRTH", "DDATA", "DDEATH":
		node.follow(m)
	}
	if m.err == nil {
		m.err = node.name(m)
	}
	return m
}

func (e *edges) node(name string) *edge {
	if e.known == nil {
		e.known = map[string]*edge{}
	}
	if e.known[name] == nil {
		e.known[name] = &edge{aliases: map[uint64]string{}}
	}
	return e.known[name]
}

// follow checks that the message is the one after the last.
func (node *edge) follow(m *sparkMessage) {
	switch {
	case !node.born:
		m.rebirth = "its birth is not known"
		return
	case m.seq == node.seq:
		m.err = errRepeated
		return
	case m.seq != (node.seq+1)%256:
		m.rebirth = fmt.Sprintf("messages lost: %d came after %d", m.seq, node.seq)
	}
	node.seq = m.seq
}

// name learns the aliases of a birth, and puts the names in the place of aliases. An alias that nobody named is an error;
// the other metrics are read.
func (node *edge) name(m *sparkMessage) error {
	birth := strings.HasSuffix(m.kind, "BIRTH")
	known := m.metrics[:0]
	var unknown error
	for _, one := range m.metrics {
		if birth && one.hasAlias && one.name != "" && len(node.aliases) < maxAliases {
			node.aliases[one.alias] = one.name
		}
		if one.name == "" {
			one.name = node.aliases[one.alias]
		}
		if one.name == "" {
			unknown = fmt.Errorf("metric with the alias %d, which no birth has named", one.alias)
			m.rebirth = unknown.Error()
			continue
		}
		known = append(known, one)
	}
	m.metrics = known
	if len(known) > 0 {
		return nil
	}
	return unknown
}

// json is the metrics by name; of several values of one, the last.
func (m *sparkMessage) json() string {
	last := map[string]int{}
	for i, one := range m.metrics {
		last[one.name] = i
	}
	b := []byte{'{'}
	for i, one := range m.metrics {
		if last[one.name] != i || one.historical {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = gjson.AppendJSONString(b, one.name)
		b = append(b, ':')
		b = append(b, one.value...)
	}
	return string(append(b, '}'))
}

// value is the value of a metric as JSON, "" where the message has none.
func (m *sparkMessage) value(name string) string {
	i := slices.IndexFunc(m.metrics, func(one metric) bool { return one.name == name })
	if i < 0 {
		return ""
	}
	return m.metrics[i].value
}

// rebirthEvery is how often an edge node is asked to be born again at most.
const rebirthEvery = time.Minute

// askRebirth asks the edge node of a message to be born again, where something of it is missing.
func (s *session) askRebirth(m *sparkMessage, now time.Time) {
	if m == nil || m.rebirth == "" {
		return
	}
	node := s.d.edges.node(m.group + "/" + m.edge)
	if now.Sub(node.asked) < rebirthEvery {
		return
	}
	node.asked = now
	s.d.log.Warn("edge node asked to be born again", "edge", m.group+"/"+m.edge, "why", m.rebirth)
	s.client.Publish(sparkplugPrefix+m.group+"/NCMD/"+m.edge, 0, false, rebirthCommand(now))
}

// askRebirths asks every edge node of ours: what they said while we were away is not known.
func (s *session) askRebirths(now time.Time) {
	asked := map[string]bool{}
	for _, dev := range s.d.devices {
		t, ok := readSparkTopic(dev.wrapping.topic)
		if !ok || dev.wrapping.filters == nil || asked[t.group+"/"+t.edge] {
			continue
		}
		asked[t.group+"/"+t.edge] = true
		s.d.edges.node(t.group + "/" + t.edge).asked = now
		s.client.Publish(sparkplugPrefix+t.group+"/NCMD/"+t.edge, 0, false, rebirthCommand(now))
	}
}
