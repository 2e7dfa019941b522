package conf

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Effective is the file as it was read: its keys in their order with the values that are in force, and behind them the
// defaults of those that it leaves out, each with that comment. Secrets are masked, wherever they come from.
func (w *Watched) Effective() *yaml.Node { return w.section(w.root) }

// byDefault is the comment of what the file leaves out.
const byDefault = "default"

func (w *Watched) section(s Section) *yaml.Node {
	if k := w.maps[s.path]; k != nil && s.Keys() != nil {
		return w.mapping(s, k)
	}
	if items := s.Items(); items != nil {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range items {
			list.Content = append(list.Content, w.section(item))
		}
		return list
	}
	return asWritten(s)
}

func (w *Watched) mapping(s Section, k *keys) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range s.Keys() {
		field, ok := k.fields[name]
		if secret, is := strings.CutSuffix(name, "_file"); !ok && is && k.fields[secret].IsValid() {
			Put(m, secret, masked(), "from a file")
		} else if ok {
			Put(m, name, w.field(s.At(name), field), "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.fields)) {
		if field := k.fields[name]; !s.At(name).Exists() && !raw(field.Type()) && !field.IsZero() && field.Type() != secretType {
			Put(m, name, NodeOf(field), byDefault)
		}
	}
	return m
}

// field is the value of a key that stands in the file.
func (w *Watched) field(s Section, v reflect.Value) *yaml.Node {
	t := v.Type()
	switch {
	case raw(t):
		return w.section(s)
	case reflect.PointerTo(t).Implements(decoderType):
		return asWritten(s)
	case t == secretType:
		return masked()
	}
	switch t.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return w.field(s, v.Elem())
		}
	case reflect.Struct:
		if k := w.maps[s.path]; k != nil {
			return w.mapping(s, k)
		}
	case reflect.Slice:
		if items := s.Items(); len(items) == v.Len() {
			list := &yaml.Node{Kind: yaml.SequenceNode}
			for i, item := range items {
				list.Content = append(list.Content, w.field(item, v.Index(i)))
			}
			return list
		}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Slice || t.Elem().Kind() == reflect.Struct {
			m := &yaml.Node{Kind: yaml.MappingNode}
			for _, key := range s.Keys() {
				Put(m, key, w.field(s.At(key), v.MapIndex(reflect.ValueOf(key).Convert(t.Key()))), "")
			}
			return m
		}
	}
	return NodeOf(v)
}

// asWritten is what stands at a place, as it is written.
func asWritten(s Section) *yaml.Node {
	switch {
	case s.Items() != nil:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range s.Items() {
			list.Content = append(list.Content, asWritten(item))
		}
		return list
	case s.node != nil && s.node.Kind == yaml.MappingNode:
		m := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range s.Keys() {
			Put(m, key, asWritten(s.At(key)), "")
		}
		return m
	}
	return word(s.Value())
}

// NodeOf is a value that Decode reads, as YAML: of a struct what is not zero. Secrets are masked.
func NodeOf(v reflect.Value) *yaml.Node {
	switch x := v.Interface().(type) {
	case time.Duration:
		text := x.String()
		for _, zero := range []string{"m0s", "h0m"} { // 1m0s is 1m
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return word(text)
	case Secret:
		return masked()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
		}
		return NodeOf(v.Elem())
	case reflect.Struct:
		m := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if field := v.Field(i); name != "" && name != "-" && !field.IsZero() {
				Put(m, name, NodeOf(field), "")
			}
		}
		return m
	case reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			list.Content = append(list.Content, NodeOf(v.Index(i)))
		}
		return list
	case reflect.Map:
		m := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, name := range names {
			Put(m, fmt.Sprint(name), NodeOf(v.MapIndex(name)), "")
		}
		return m
	case reflect.String:
		return word(v.String())
	case reflect.Float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(v.Float(), 'f', -1, 64)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v.Interface())}
}

var userInfo = regexp.MustCompile(`(://[^/@\s:]*:)[^/@\s]*@`)

// word is a text; a password in an address is masked.
func word(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: userInfo.ReplaceAllString(text, "$1***@")}
	if strings.Contains(text, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

func masked() *yaml.Node { return word(Secret{"set"}.String()) }

// Put adds a key to a map, with a comment where it has one.
func Put(m *yaml.Node, key string, value *yaml.Node, comment string) {
	k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	if comment != "" {
		if value.Kind == yaml.ScalarNode {
			value.LineComment = "# " + comment
		} else {
			k.HeadComment = "# " + comment
		}
	}
	m.Content = append(m.Content, k, value)
}
