package configfile

import (
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ErrNoPlace says that there is no place in the file for a new part that would leave all else as it is written.
var ErrNoPlace = errors.New("no place for it in the file as it is written")

// Key is one key of a device with its value, a string or an int.
type Key struct {
	Name  string
	Value any
}

// Added is a configuration with one more device.
type Added struct {
	Text  []byte
	Line  int    // on which the new part begins, from 1
	Lines string // the new part as it is written there, without the indentation of its place
}

// mostPlaces is how many places are tried for a device in a list between brackets.
const mostPlaces = 200

// AddDevice puts a device behind the others of an endpoint. The text gets one new part, in the way in which the others are
// written, and no other byte of it changes, so that comments and order stay. What comes out is read again, and is as it was but
// for the device; where that cannot be had, as where an anchor is involved, the error is ErrNoPlace and Lines are those to be
// written by hand.
func AddDevice(text []byte, endpoint string, device []Key) (Added, error) {
	node := mapping(device)
	block := dump(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{node}})
	var doc, read yaml.Node
	if err := errors.Join(yaml.Load(text, &doc), yaml.Load([]byte(block), &read)); err != nil || len(doc.Content) == 0 {
		return Added{Lines: block}, ErrNoPlace
	}
	at := endpointOf(doc.Content[0], endpoint)
	if at == nil {
		return Added{Lines: block}, ErrNoPlace
	}
	wanted := with(doc.Content[0], at, read.Content[0].Content[0])
	tried := 0
	for place := range places(string(text), at, node, block) {
		out := string(text[:place.at]) + place.put + string(text[place.at:])
		var fresh yaml.Node
		if err := yaml.Load([]byte(out), &fresh); err == nil && len(fresh.Content) > 0 && same(fresh.Content[0], wanted) {
			skipped := len(place.put) - len(strings.TrimLeft(place.put, "\r\n"))
			return Added{[]byte(out), 1 + strings.Count(out[:place.at+skipped], "\n"), place.said}, nil
		}
		if tried++; tried == mostPlaces {
			break
		}
	}
	return Added{Lines: block}, ErrNoPlace
}

// place is where something may be put into a text.
type place struct {
	at        int
	put, said string
}

// places are where a device may stand, the likeliest first: behind the last one, or below a key of its own.
func places(text string, endpoint, device *yaml.Node, block string) iter.Seq[place] {
	flow := *device
	flow.Style = yaml.FlowStyle
	one := strings.TrimSpace(dump(&flow))
	devices := child(endpoint, "devices")
	lines := linesOf(text)
	return func(yield func(place) bool) {
		switch {
		case devices == nil && endpoint.Style&yaml.FlowStyle != 0:
			brackets(lines, text, endpoint.Line, '}', "devices: ["+one+"]", yield)
		case devices == nil:
			own := "devices:\n" + indented(block, 2)
			below(lines, text, last(endpoint), endpoint.Column-1, own, block, yield)
		case devices.Kind == yaml.SequenceNode && devices.Style&yaml.FlowStyle != 0:
			from := devices.Line
			if n := len(devices.Content); n > 0 {
				from = devices.Content[n-1].Line
			}
			brackets(lines, text, from, ']', one, yield)
		case devices.Kind == yaml.SequenceNode && len(devices.Content) > 0:
			dash := strings.Index(lines.text(devices.Content[0].Line), "-")
			below(lines, text, last(devices), dash, block, block, yield)
		case devices.Kind == yaml.ScalarNode && devices.Value == "":
			below(lines, text, devices.Line, endpoint.Column+1, block, block, yield)
		}
	}
}

// below offers the ends of lines, from the last line of what stands before on; first behind all that is indented like it.
func below(lines lineStarts, text string, line, indent int, put, said string, yield func(place) bool) {
	if indent < 0 {
		return
	}
	end := line
	for next := line + 1; next <= len(lines.starts); next++ {
		content := strings.TrimSpace(lines.text(next))
		if content == "" {
			continue
		}
		if lines.indent(next) <= indent {
			break
		}
		end = next
	}
	eol := "\n"
	if strings.Contains(text, "\r\n") {
		eol = "\r\n"
	}
	written := strings.ReplaceAll(indented(put, indent), "\n", eol)
	for at := end; at <= min(end+5, len(lines.starts)); at++ {
		p := place{len(text), written, said}
		if at < len(lines.starts) {
			p.at = lines.starts[at]
		} else if !strings.HasSuffix(text, "\n") {
			p.put = eol + strings.TrimSuffix(written, eol)
		}
		if !yield(p) {
			return
		}
	}
}

// brackets offers the places before each closing bracket from a line on.
func brackets(lines lineStarts, text string, line int, closing byte, put string, yield func(place) bool) {
	if line < 1 || line > len(lines.starts) {
		return
	}
	for at := lines.starts[line-1]; at < len(text); at++ {
		if text[at] != closing {
			continue
		}
		content := len(strings.TrimRight(text[:at], " \t\r\n"))
		first := " "
		if strings.HasSuffix(text[:content], "[") {
			first = ""
		}
		for _, p := range []place{{content, ", " + put, put}, {content, first + put, put}, {at, put, put}, {at, ", " + put, put}} {
			if !yield(p) {
				return
			}
		}
	}
}

// lineStarts are where the lines of a text begin.
type lineStarts struct {
	all    string
	starts []int
}

func linesOf(text string) lineStarts {
	l := lineStarts{all: text, starts: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' && i+1 < len(text) {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

// text is a line, counted from 1.
func (l lineStarts) text(line int) string {
	if line < 1 || line > len(l.starts) {
		return ""
	}
	one, _, _ := strings.Cut(l.all[l.starts[line-1]:], "\n")
	return one
}

func (l lineStarts) indent(line int) int {
	text := l.text(line)
	return len(text) - len(strings.TrimLeft(text, " "))
}

// indented is a text with spaces before each line.
func indented(text string, spaces int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", spaces) + line)
	}
	return b.String()
}

// last is the last line on which something of a node begins.
func last(n *yaml.Node) int {
	line := n.Line
	for _, below := range n.Content {
		line = max(line, last(below))
	}
	return line
}

// endpointOf is the endpoint with an id, where it is written out and nothing refers to it.
func endpointOf(root *yaml.Node, id string) *yaml.Node {
	list := child(root, "endpoints")
	if list == nil || list.Kind != yaml.SequenceNode || list.Anchor != "" {
		return nil
	}
	for _, e := range list.Content {
		if own := child(e, "id"); own == nil || own.Value != id || e.Anchor != "" {
			continue
		}
		if devices := child(e, "devices"); devices != nil && devices.Anchor != "" {
			return nil
		}
		return e
	}
	return nil
}

// child is the value of a key, nil where there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// mapping is a device as YAML.
func mapping(keys []Key) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, k := range keys {
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
		switch v := k.Value.(type) {
		case string:
			value.Value = v
		case int:
			value.Tag, value.Value = "!!int", strconv.Itoa(v)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: k.Name}, value)
	}
	return n
}

// dump is a node in block style with an indentation of two.
func dump(n *yaml.Node) string {
	out, err := yaml.Dump(n, yaml.WithIndent(2), yaml.WithLineWidth(10_000))
	if err != nil {
		return "" // strings and numbers always can be written
	}
	return string(out)
}

// with is a tree with one device more below one of its nodes; the tree itself stays as it is.
func with(n, endpoint, device *yaml.Node) *yaml.Node {
	fresh := *n
	fresh.Content = slices.Clone(n.Content)
	if n != endpoint {
		for i, below := range n.Content {
			fresh.Content[i] = with(below, endpoint, device)
		}
		return &fresh
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "devices" {
			list := yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: append(slices.Clone(n.Content[i+1].Content), device)}
			fresh.Content[i+1] = &list
			return &fresh
		}
	}
	fresh.Content = append(fresh.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "devices"},
		&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{device}})
	return &fresh
}

// same tells whether two trees mean the same.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.ShortTag() != b.ShortTag() || a.Anchor != b.Anchor {
		return false
	}
	return slices.EqualFunc(a.Content, b.Content, same)
}
