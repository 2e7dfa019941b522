package conf

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/i18n"

	"go.yaml.in/yaml/v4"
)

// Decoder is a type that reads its own section, such as a list that may also be a single word.
type Decoder interface{ DecodeConf(Section) }

// Secret is a password, token or key. It is written `x: "${ENV}"`, `x_file: path`, or inline for trials, and shows itself
// to nobody: only Reveal gives it.
type Secret struct{ value string }

// NewSecret keeps a value secret.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal is the secret itself, for the call that needs it.
func (s Secret) Reveal() string { return s.value }

// IsSet tells whether there is a secret at all.
func (s Secret) IsSet() bool { return s.value != "" }

// String masks the secret, as LogValue, MarshalText and GoString do.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "***"
}

// GoString masks the secret under %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue masks the secret in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText masks the secret in JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Path is a file or folder; a relative one is taken from the folder of the configuration file.
type Path string

var (
	decoderType  = reflect.TypeFor[Decoder]()
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	pathType     = reflect.TypeFor[Path]()
	sectionType  = reflect.TypeFor[Section]()
)

// Decode reads a mapping into the given structs. A key goes to the field with that yaml tag; a key that no struct has is
// a problem, as is a value that does not fit its field. Keys that are missing leave their fields as they are, so defaults
// are set before. A field of type Secret named x is also read from the file named by x_file; fields of type Section are
// given the raw section. Where the keys are not known beforehand, a map[string]Section holds those allowed and is given
// the sections of those found.
func (s Section) Decode(into ...any) {
	if s.node == nil {
		return
	}
	if s.node.Kind != yaml.MappingNode {
		s.Problem("must be a map of keys")
		return
	}
	fields := map[string]reflect.Value{}
	var kinds []string
	for _, target := range into {
		open, ok := target.(map[string]Section)
		if !ok {
			collect(reflect.ValueOf(target).Elem(), fields)
			continue
		}
		for name := range open {
			section := s.At(name)
			open[name] = section
			kinds = append(kinds, name)
			fields[name] = reflect.ValueOf(&section).Elem()
		}
	}
	s.doc.watched.read(s, fields, kinds)
	seen := map[string]bool{}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		key := s.node.Content[i]
		child := s.value(key, s.node.Content[i+1])
		if seen[key.Value] {
			child.line, child.col = key.Line, key.Column
			child.Problem("the key is there twice")
			continue
		}
		seen[key.Value] = true
		if field, ok := fields[key.Value]; ok {
			child.into(field)
			continue
		}
		if name, ok := strings.CutSuffix(key.Value, "_file"); ok {
			if field, ok := fields[name]; ok && field.Type() == secretType {
				child.secretFile(field)
				continue
			}
		}
		child.unknown(fields)
	}
}

// unknown reports a key that no field has, at the key.
func (s Section) unknown(fields map[string]reflect.Value) {
	var allowed []string
	for name, field := range fields {
		allowed = append(allowed, name)
		if field.Type() == secretType {
			allowed = append(allowed, name+"_file")
		}
	}
	slices.Sort(allowed)
	s.line, s.col = s.key.Line, s.key.Column
	s.report(Problem{What: i18n.T("unknown key"), Allowed: allowed, Nearest: Nearest(s.key.Value, allowed)})
}

func collect(v reflect.Value, fields map[string]reflect.Value) {
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			collect(v.Field(i), fields)
		case name != "" && name != "-":
			fields[name] = v.Field(i)
		}
	}
}

// into reads the section into one field.
func (s Section) into(v reflect.Value) {
	if v.Type() == sectionType {
		v.Set(reflect.ValueOf(s))
		return
	}
	if v.CanAddr() && v.Addr().Type().Implements(decoderType) {
		v.Addr().Interface().(Decoder).DecodeConf(s)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		s.into(v.Elem())
	case reflect.Struct:
		if v.Type() == secretType {
			s.secret(v)
			return
		}
		s.Decode(v.Addr().Interface())
	case reflect.Slice:
		s.slice(v)
	case reflect.Map:
		s.mapping(v)
	default:
		s.scalar(v)
	}
}

func (s Section) slice(v reflect.Value) {
	if s.node.Kind != yaml.SequenceNode {
		s.Problem("must be a list")
		return
	}
	items := s.Items()
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		item.into(list.Index(i))
	}
	v.Set(list)
}

func (s Section) mapping(v reflect.Value) {
	if s.node.Kind != yaml.MappingNode {
		s.Problem("must be a map of keys")
		return
	}
	m := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		key := reflect.New(v.Type().Key()).Elem()
		Section{doc: s.doc, node: s.node.Content[i], path: s.path, line: s.node.Content[i].Line, col: s.node.Content[i].Column}.scalar(key)
		value := reflect.New(v.Type().Elem()).Elem()
		s.value(s.node.Content[i], s.node.Content[i+1]).into(value)
		m.SetMapIndex(key, value)
	}
	v.Set(m)
}

// scalar reads one value; what it says of a wrong one is what is allowed.
func (s Section) scalar(v reflect.Value) {
	if s.node.Kind != yaml.ScalarNode {
		s.Problem("must be a single value")
		return
	}
	raw, quoted := s.node.Value, s.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	switch {
	case v.Type() == durationType:
		d, err := time.ParseDuration(raw)
		if err != nil || d < 0 {
			s.Problem("%q is not a duration; write it as 500ms, 2s, 5m or 1h", raw)
			return
		}
		v.SetInt(int64(d))
	case v.Type() == pathType:
		if raw != "" && !filepath.IsAbs(raw) {
			raw = filepath.Join(s.Dir(), raw)
		}
		v.SetString(raw)
	case v.Kind() == reflect.String:
		v.SetString(raw)
	case v.Kind() == reflect.Bool:
		if quoted || raw != "true" && raw != "false" {
			s.Problem("%q is not true or false", raw)
			return
		}
		v.SetBool(raw == "true")
	case v.CanInt():
		n, err := strconv.ParseInt(raw, 0, v.Type().Bits())
		if err != nil && v.Type().Bits() == 64 {
			s.Problem("%q is not a whole number", raw)
			return
		}
		if err != nil {
			s.Problem("%q is not a whole number between %d and %d", raw, int64(math.MinInt64)>>(64-v.Type().Bits()), int64(math.MaxInt64)>>(64-v.Type().Bits()))
			return
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(raw, 0, v.Type().Bits())
		if err != nil {
			s.Problem("%q is not a whole number between %d and %d", raw, 0, uint64(math.MaxUint64)>>(64-v.Type().Bits()))
			return
		}
		v.SetUint(n)
	case v.CanFloat():
		f, err := strconv.ParseFloat(raw, 64)
		if err != nil {
			n, intErr := strconv.ParseInt(raw, 0, 64) // 0xFFFF
			f, err = float64(n), intErr
		}
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			s.Problem("%q is not a number", raw)
			return
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("conf: %s: cannot decode into %s", s.path, v.Type())) // a struct of ours that no test decoded
	}
}

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

func (s Section) secret(v reflect.Value) {
	if s.node.Kind != yaml.ScalarNode {
		s.Problem("must be a single value")
		return
	}
	value := s.node.Value
	if m := variable.FindStringSubmatch(value); m != nil {
		env, ok := s.doc.env.Variable(m[1])
		if !ok || env == "" {
			s.Problem("the environment variable %s is not set", m[1])
			return
		}
		value = env
	}
	if value == "" {
		s.Problem("the secret is empty")
		return
	}
	s.setSecret(v, value)
}

func (s Section) secretFile(v reflect.Value) {
	var path Path
	s.scalar(reflect.ValueOf(&path).Elem())
	data, err := s.doc.env.ReadFile(string(path))
	if err != nil {
		s.Problem("the secret file cannot be read: %s", err)
		return
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		s.Problem("the secret file %s is empty", path)
		return
	}
	s.setSecret(v, value)
}

func (s Section) setSecret(v reflect.Value, value string) {
	if v.Interface().(Secret).IsSet() {
		s.Problem("the secret is given twice; keep the value or the file")
		return
	}
	v.Set(reflect.ValueOf(Secret{value}))
}
