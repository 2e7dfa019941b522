package gateway

import (
	"reflect"
	"regexp"

	"embergate/drivers"
	"embergate/drivers/conf"

	"go.yaml.in/yaml/v4"
)

// Effective is a configuration as it is in force: with the defaults of what it leaves out, with the signals of each device's
// model, and without secrets. Its mistakes are root.Problems(), as those of New.
func Effective(root conf.Section, o Options) (text []byte, g *Gateway, err error) {
	watched := root.Watch()
	if g, err = New(root, o); err != nil || root.Problems() != nil {
		return nil, g, err
	}
	doc := watched.Effective()
	devices := map[string]drivers.Device{}
	for _, d := range g.devices() {
		devices[d.ID] = d
	}
	for _, endpoint := range entries(value(doc, "endpoints")) {
		for _, node := range entries(value(endpoint, "devices")) {
			id := value(node, "id")
			if id == nil {
				continue
			}
			complete(node, devices[id.Value])
		}
	}
	for _, node := range entries(value(doc, "heartbeat")) {
		if address := value(node, "url"); address != nil {
			address.Value = pathOfAddress.ReplaceAllString(address.Value, "$1/***") // watchers know a gateway by its path
		}
	}
	text, err = yaml.Dump(doc, yaml.WithIndent(2), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(200))
	return text, g, err
}

var pathOfAddress = regexp.MustCompile(`^(\w+://[^/]*)/.+$`)

// complete adds to a device what its driver and its model say.
func complete(node *yaml.Node, d drivers.Device) {
	if value(node, "every") == nil && d.Every > 0 {
		conf.Put(node, "every", conf.NodeOf(reflect.ValueOf(d.Every)), "default")
	}
	if value(node, "stale") == nil && d.Stale > 0 {
		conf.Put(node, "stale", conf.NodeOf(reflect.ValueOf(d.Stale)), "default")
	}
	if value(node, "profile") == nil {
		return
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, s := range d.Signals {
		signal := conf.NodeOf(reflect.ValueOf(s))
		for i := 0; i < len(signal.Content); i += 2 {
			if signal.Content[i].Value == "name" {
				name := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
				conf.Put(name, "zh", conf.NodeOf(reflect.ValueOf(s.Name.ZH)), "")
				conf.Put(name, "en", conf.NodeOf(reflect.ValueOf(s.Name.EN)), "")
				signal.Content[i+1] = name
			}
		}
		list.Content = append(list.Content, signal)
	}
	conf.Put(node, "signals", list, "of its profile")
}

// entries are the items of a list; nil where there is none.
func entries(list *yaml.Node) []*yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	return list.Content
}

// value is what stands under a key; nil where that is not there.
func value(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}
