package conf

import (
	"maps"
	"reflect"
	"slices"
)

// Watched is what was read of a file: at each map of keys the fields that Decode filled. It knows what the readers know, so
// the schema and the effective configuration that are made of it cannot differ from what is checked.
type Watched struct {
	root Section
	maps map[string]*keys // by path
}

// keys are those of one map.
type keys struct {
	fields map[string]reflect.Value // by key
	kinds  []string                 // of them, those that are names of kinds, of which one is there
}

// Described is a Decoder that says by a JSON schema what it reads.
type Described interface{ ConfSchema() map[string]any }

var describedType = reflect.TypeFor[Described]()

// Watch has what is read of the file from now on remembered; it is for the section of the whole file.
func (s Section) Watch() *Watched {
	w := &Watched{root: s, maps: map[string]*keys{}}
	s.doc.watched = w
	return w
}

// read remembers a map of keys that was decoded into fields.
func (w *Watched) read(at Section, fields map[string]reflect.Value, kinds []string) {
	if w == nil {
		return
	}
	k := w.maps[at.path]
	if k == nil {
		k = &keys{fields: map[string]reflect.Value{}}
		w.maps[at.path] = k
	}
	maps.Copy(k.fields, fields)
	k.kinds = append(k.kinds, kinds...)
}

// Secrets are the values of all secrets that were read, wherever they come from: for whoever must keep them out of a text.
func (w *Watched) Secrets() (all []string) {
	for _, k := range w.maps {
		for _, field := range k.fields {
			if secret, ok := field.Interface().(Secret); ok && secret.IsSet() {
				all = append(all, secret.Reveal())
			}
		}
	}
	return all
}

// variant is the kind that a map has chosen, "" for none.
func (k *keys) variant(s Section) string {
	for _, name := range s.Keys() {
		if slices.Contains(k.kinds, name) {
			return name
		}
	}
	return ""
}

// static are the fields of a struct that was not read, by key.
func static(t reflect.Type) *keys {
	k := &keys{fields: map[string]reflect.Value{}}
	collect(reflect.New(t).Elem(), k.fields)
	return k
}
