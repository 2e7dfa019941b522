package conf

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Schema is the JSON schema (draft 7, which editors know) of a kind of file, made of a specimen of it: one in which every
// section stands that a reader looks into. Types, keys and bounds are those of the structs that were decoded; the words that
// a key allows are those that the readers named when they found Any in its place, in the specimen's problems. Unread are
// the places that the specimen lacks.
func (w *Watched) Schema() (schema map[string]any, unread []string) {
	b := &schemaOf{w: w, words: map[string][]string{}, open: map[string]bool{}}
	for _, p := range w.root.Problems() {
		value := w.find(p.Key).Value()
		if value == Any || value == Such || value == "-1" || strings.HasSuffix(p.Key, "."+Any) {
			words := append(b.words[bare(p.Key)], p.Allowed...)
			slices.Sort(words)
			b.words[bare(p.Key)] = slices.Compact(words)
			b.open[bare(p.Key)] = value == Such
		}
	}
	schema = b.section(w.root)
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	return schema, b.unread
}

// Any stands in a specimen where a reader is to say what it allows; -1 does in the place of a number, and Such where it
// allows more than it names.
const (
	Any  = "?"
	Such = "?+"
)

var index = regexp.MustCompile(`\[\d+\]`)

// bare is a path without numbers of items.
func bare(path string) string { return index.ReplaceAllString(path, "") }

type schemaOf struct {
	w      *Watched
	words  map[string][]string // by bare path
	open   map[string]bool     // there are words besides
	unread []string
}

// section is the schema of what stands at a place of the specimen.
func (b *schemaOf) section(s Section) map[string]any {
	if k := b.w.maps[s.path]; k != nil {
		return b.object(s.path, k)
	}
	if items := s.Items(); items != nil {
		return map[string]any{"type": "array", "items": b.item(items)}
	}
	if s.Value() == "" {
		b.unread = append(b.unread, s.path)
		return map[string]any{}
	}
	return b.scalar(bare(s.path), reflect.TypeFor[string]())
}

// item is the schema of every item of a list of which some were read. Where each has chosen one of several kinds, what
// stands beside the kind depends on it.
func (b *schemaOf) item(items []Section) map[string]any {
	first := b.w.maps[items[0].path]
	if first == nil || len(first.kinds) == 0 {
		return b.section(items[0])
	}
	one := b.object(items[0].path, first)
	properties := one["properties"].(map[string]any)
	var choices, depends []any
	for _, item := range items {
		kind := b.w.maps[item.path].variant(item)
		properties[kind] = b.section(item.At(kind))
		choices = append(choices, map[string]any{"required": []string{kind}})
		beside := map[string]any{}
		for _, name := range item.Keys() {
			if field := b.w.maps[item.path].fields[name]; name != kind && raw(field.Type()) {
				beside[name] = b.field(item, name, field)
				properties[name] = map[string]any{}
			}
		}
		if len(beside) > 0 {
			depends = append(depends, map[string]any{"if": map[string]any{"required": []string{kind}}, "then": map[string]any{"properties": beside}})
		}
	}
	for _, kind := range first.kinds {
		if !slices.ContainsFunc(items, func(item Section) bool { return item.At(kind).Exists() }) {
			b.unread = append(b.unread, items[0].At(kind).path)
		}
	}
	one["oneOf"] = choices
	if depends != nil {
		one["allOf"] = depends
	}
	return one
}

// raw tells whether a field is given sections, for others to read.
func raw(t reflect.Type) bool {
	return t == sectionType || t.Kind() == reflect.Slice && t.Elem() == sectionType
}

func (b *schemaOf) field(at Section, name string, field reflect.Value) map[string]any {
	if raw(field.Type()) {
		return b.section(b.w.specimen(at, name))
	}
	return b.typed(at.At(name).path, field.Type())
}

func (b *schemaOf) object(path string, k *keys) map[string]any {
	properties := map[string]any{}
	var not []any
	at := b.w.find(path)
	for _, name := range slices.Sorted(maps.Keys(k.fields)) {
		field := k.fields[name]
		switch {
		case slices.Contains(k.kinds, name):
			properties[name] = map[string]any{} // item knows
		case at.Exists():
			properties[name] = b.field(at, name, field)
		default: // a struct that the specimen lacks
			properties[name] = b.typed(path+"."+name, field.Type())
		}
		if field.Type() == secretType {
			properties[name+"_file"] = map[string]any{"type": "string"}
			not = append(not, map[string]any{"required": []string{name, name + "_file"}})
		}
	}
	schema := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if not != nil {
		schema["not"] = map[string]any{"anyOf": not}
	}
	return schema
}

// typed is the schema of a field of a type.
func (b *schemaOf) typed(path string, t reflect.Type) map[string]any {
	switch {
	case reflect.PointerTo(t).Implements(describedType):
		return reflect.New(t).Interface().(Described).ConfSchema()
	case reflect.PointerTo(t).Implements(decoderType):
		b.unread = append(b.unread, path)
		return map[string]any{}
	case t == secretType:
		return map[string]any{"type": []string{"string", "number"}}
	case t == durationType:
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": `^\+?([0-9]*\.?[0-9]*(ns|us|µs|ms|s|m|h))+$`, "description": "500ms, 2s, 5m or 1h"},
			map[string]any{"const": 0},
		}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.typed(path, t.Elem())
	case reflect.Struct:
		if k := b.w.maps[path]; k != nil {
			return b.object(path, k)
		}
		return b.object(path, static(t))
	case reflect.Slice:
		return map[string]any{"type": "array", "items": b.typed(path, t.Elem())}
	case reflect.Map:
		schema := map[string]any{"type": "object", "additionalProperties": b.typed(path+"."+Any, t.Elem())}
		if words := b.words[bare(path)+"."+Any]; words != nil {
			schema["propertyNames"] = map[string]any{"enum": words}
		}
		return schema
	}
	return b.scalar(bare(path), t)
}

func (b *schemaOf) scalar(path string, t reflect.Type) map[string]any {
	words, zero := b.words[path], reflect.Zero(t)
	switch {
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case zero.CanFloat():
		return map[string]any{"type": "number"}
	case zero.CanInt() || zero.CanUint():
		if words != nil {
			numbers := make([]any, len(words))
			for i, word := range words {
				numbers[i], _ = strconv.Atoi(word)
			}
			return map[string]any{"enum": numbers}
		}
		schema := map[string]any{"type": "integer"}
		if bits := t.Bits(); zero.CanUint() {
			schema["minimum"], schema["maximum"] = 0, uint64(math.MaxUint64)>>(64-bits)
		} else if bits < 64 {
			schema["minimum"], schema["maximum"] = int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits)
		}
		return schema
	case b.open[path]:
		return map[string]any{"anyOf": []any{map[string]any{"enum": words}, SchemaOf[string]()}}
	case words != nil:
		return map[string]any{"enum": words}
	}
	return SchemaOf[string]()
}

// SchemaOf is the schema of a type that needs no specimen, for what Described says.
func SchemaOf[T any]() map[string]any {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.String {
		return map[string]any{"type": []string{"string", "number", "boolean"}} // 370305 is a word too
	}
	return (&schemaOf{w: &Watched{}}).typed("", t)
}

// OneOrList is the schema of one thing or a list of them.
func OneOrList(one map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
}

// specimen is the section of a key; where an item lacks it, that of another item of its list.
func (w *Watched) specimen(at Section, key string) Section {
	for i := 0; !at.At(key).Exists(); i++ {
		end := strings.LastIndexByte(at.path, '[')
		if end < 0 || !strings.HasSuffix(at.path, "]") {
			break
		}
		other := w.find(fmt.Sprintf("%s[%d]", at.path[:end], i))
		if !other.Exists() {
			break
		}
		if other.At(key).Exists() {
			return other.At(key)
		}
	}
	return at.At(key)
}

// find is the section at a path of the specimen.
func (w *Watched) find(path string) Section {
	at := w.root
	for _, step := range regexp.MustCompile(`[^.\[\]]+|\[\d+\]`).FindAllString(path, -1) {
		if step[0] != '[' {
			at = at.At(step)
			continue
		}
		i, _ := strconv.Atoi(step[1 : len(step)-1])
		items := at.Items()
		if i >= len(items) {
			return Section{}
		}
		at = items[i]
	}
	return at
}
