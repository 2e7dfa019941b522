// Package conf reads strict YAML and reports every mistake at its place.
//
// A Section is a part of a configuration file that knows where it stands. Packages decode their own sections into their
// own structs, and report what the types cannot say with Section.Problem; all problems of a file gather in one list, so
// a user sees every mistake at once, each with file:line:column, the key, what is allowed and the nearest name.
//
//	root := conf.Parse("home.yaml", data, env)
//	var cfg struct {
//		Baud    int           `yaml:"baud"`
//		Timeout time.Duration `yaml:"timeout"`
//		Key     conf.Secret   `yaml:"key"` // also key_file
//	}
//	root.Decode(&cfg)
//	if cfg.Baud < 300 { root.At("baud").Problem("must be at least %d", 300) }
//	return root.Problems()
package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"embergate/drivers/i18n"

	"go.yaml.in/yaml/v4"
)

// Problem is one mistake in a configuration, at its place.
type Problem struct {
	File         string
	Line, Column int    // one-based; the key's, or its parent's where the key is missing
	Key          string // path of the key: endpoints[0].modbus.baud
	What         i18n.Text
	Allowed      []string // what may stand there, if that is a list of names
	Nearest      string   // the allowed name that is most like what stands there
}

// In says the problem in a language: file:line:column: key: what; allowed; nearest.
func (p Problem) In(l i18n.Lang) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(l.Say(p.What.Format, p.What.Args...))
	if len(p.Allowed) > 0 {
		b.WriteString(l.Say("; allowed: %s", strings.Join(p.Allowed, ", ")))
	}
	if p.Nearest != "" {
		b.WriteString(l.Say("; did you mean %s?", p.Nearest))
	}
	return b.String()
}

// Problems are the mistakes of a configuration in the order of its lines.
type Problems []Problem

// Error says all problems in English, one a line.
func (p Problems) Error() string { return p.In(i18n.English) }

// In says all problems in a language, one a line.
func (p Problems) In(l i18n.Lang) string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].In(l)
	}
	return strings.Join(lines, "\n")
}

// Environment is the world a configuration may refer to: variables and secret files.
type Environment struct {
	Variable func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error)
}

// OS is the environment of this process.
func OS() Environment { return Environment{os.LookupEnv, os.ReadFile} }

// document is what all sections of one file share.
type document struct {
	name     string
	lines    []string
	env      Environment
	problems Problems
	apart    []*yaml.Node // the files that this one includes, those that they include, and sections that are kept; see Forget
	watched  *Watched     // what is read of it; nil: nobody wants to know
	into     *document    // the file that includes this one, whose problems it shares; nil for none
}

// root is the document that gathers the problems.
func (d *document) root() *document {
	for d.into != nil {
		d = d.into
	}
	return d
}

// Section is a part of a configuration file: a node, its path and place. The zero Section is absent.
type Section struct {
	doc  *document
	node *yaml.Node // nil where the key is missing
	key  *yaml.Node // the key of a mapping's value: where an unknown key is reported
	path string
	line int
	col  int
}

// Parse reads the YAML of the named file. What is not YAML at all is a problem of the returned section too.
func Parse(name string, data []byte, env Environment) Section {
	return parse(&document{name: name, lines: strings.Split(string(data), "\n"), env: env}, data)
}

func parse(doc *document, data []byte) Section {
	s := Section{doc: doc, line: 1, col: 1}
	var root yaml.Node
	if err := yaml.Load(data, &root); err != nil {
		s.syntax(err)
		return s
	}
	node := &root
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	s.node, s.line, s.col = node, max(node.Line, 1), max(node.Column, 1)
	if doc.into != nil {
		doc.root().apart = append(doc.root().apart, node)
	}
	return s
}

// Load is Parse of a file on disk. The error is the file's: it could not be read.
func Load(path string, env Environment) (Section, error) {
	data, err := env.ReadFile(path)
	if err != nil {
		return Section{}, err
	}
	return Parse(path, data, env), nil
}

// Include is Parse of the file that a scalar names; a relative path starts at the folder of this file. The problems of
// both gather in one list.
func (s Section) Include() Section {
	path := s.Value()
	if path == "" {
		s.Problem("must be a single value")
		return Section{}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir(), path)
	}
	data, err := s.doc.env.ReadFile(path)
	if err != nil {
		s.Problem("the file cannot be read: %s", err)
		return Section{}
	}
	return parse(&document{name: path, lines: strings.Split(string(data), "\n"), env: s.doc.env, into: s.doc}, data)
}

func (s Section) syntax(err error) {
	if strings.Contains(err.Error(), "no documents") { // yaml has no type for it
		s.Problem("the file is empty")
		return
	}
	var all *yaml.LoadErrors
	if errors.As(err, &all) {
		for _, e := range all.Errors {
			s.syntax(e)
		}
		return
	}
	var one *yaml.LoadError
	if errors.As(err, &one) {
		at := s
		at.line, at.col = max(one.Mark.Line, 1), max(one.Mark.Column, 1)
		at.Problem("not valid YAML: %s", one.Message)
		return
	}
	s.Problem("not valid YAML: %s", err.Error())
}

// Problems are all problems reported so far in the file and those it includes, by line; nil if there is none.
func (s Section) Problems() Problems {
	if s.doc == nil || len(s.doc.root().problems) == 0 {
		return nil
	}
	all := append(Problems(nil), s.doc.root().problems...)
	own := s.doc.root().name
	sort.SliceStable(all, func(i, j int) bool {
		if all[i].File != all[j].File {
			return all[i].File == own || all[j].File != own && all[i].File < all[j].File
		}
		if all[i].Line != all[j].Line {
			return all[i].Line < all[j].Line
		}
		return all[i].Column < all[j].Column
	})
	return all
}

// Text is the whole file as it was read; nil once it was forgotten.
func (s Section) Text() []byte {
	if s.doc == nil || s.doc.lines == nil {
		return nil
	}
	return []byte(strings.Join(s.doc.lines, "\n"))
}

// Forget lets go of what a file and those it includes hold, some hundred bytes a key, once all has been read of it. It is
// for the section of the whole file. What stays are the problems, and each section's place, path and own text; below it there
// is nothing more.
func (s Section) Forget() {
	if s.node == nil {
		return
	}
	forget(s.node)
	for _, n := range s.doc.apart {
		forget(n)
	}
	s.doc.apart, s.doc.lines = nil, nil
}

// Kept is the same section for who keeps it when the file is forgotten: it stands apart from the rest of the file, of which it
// would else hold a piece of memory fifty times its size.
func (s Section) Kept() Section {
	if s.node != nil {
		own := *s.node
		s.node = &own
		s.doc.root().apart = append(s.doc.root().apart, s.node)
	}
	return s
}

// forget parts a node from what is below it: whoever still has the node keeps no more alive than that.
func forget(n *yaml.Node) {
	below := n.Content
	n.Content, n.Alias = nil, nil
	for _, b := range below {
		forget(b)
	}
}

// Exists tells whether the file holds the section.
func (s Section) Exists() bool { return s.node != nil }

// Path is the key path, endpoints[0].modbus.
func (s Section) Path() string { return s.path }

// Position is the place of the section in its file, file:line:column.
func (s Section) Position() string {
	if s.doc == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", s.doc.name, s.line, s.col)
}

// Dir is the folder of the file: relative paths in it start there.
func (s Section) Dir() string { return filepath.Dir(s.doc.name) }

// At is the value of a key of a mapping; where it is missing, an absent section at the place of its parent.
func (s Section) At(key string) Section {
	child := s
	child.node, child.key = nil, nil
	child.path = key
	if s.path != "" {
		child.path = s.path + "." + key
	}
	if s.node == nil || s.node.Kind != yaml.MappingNode {
		return child
	}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		if s.node.Content[i].Value == key {
			return s.value(s.node.Content[i], s.node.Content[i+1])
		}
	}
	return child
}

// value is the section of one key of a mapping.
func (s Section) value(key, node *yaml.Node) Section {
	child := Section{doc: s.doc, node: resolve(node), key: key, path: key.Value, line: node.Line, col: node.Column}
	if s.path != "" {
		child.path = s.path + "." + key.Value
	}
	return child
}

func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	return node
}

// Items are the elements of a sequence; nil for anything else.
func (s Section) Items() []Section {
	if s.node == nil || s.node.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]Section, len(s.node.Content))
	for i, n := range s.node.Content {
		items[i] = Section{doc: s.doc, node: resolve(n), path: fmt.Sprintf("%s[%d]", s.path, i), line: n.Line, col: n.Column}
	}
	return items
}

// Keys are the keys of a mapping in their order in the file; nil for anything else.
func (s Section) Keys() []string {
	if s.node == nil || s.node.Kind != yaml.MappingNode {
		return nil
	}
	var keys []string
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		keys = append(keys, s.node.Content[i].Value)
	}
	return keys
}

// Value is the text of a scalar, "" for anything else.
func (s Section) Value() string {
	if s.node == nil || s.node.Kind != yaml.ScalarNode {
		return ""
	}
	return s.node.Value
}

// Within is the place inside a scalar, such as an expression, at its one-based line and zero-based column.
func (s Section) Within(line, column int) Section {
	if s.node == nil || s.node.Kind != yaml.ScalarNode {
		return s
	}
	switch s.node.Style {
	case yaml.LiteralStyle:
		s.line += line // the text starts on the line after its mark
		s.col = 1 + s.indent() + column
	case yaml.FoldedStyle:
		s.line++
		s.col = 1 + s.indent()
		s.fold(line, column)
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		s.fold(line, column+1)
	default:
		s.fold(line, column)
	}
	return s
}

// fold moves by a column of a text that YAML made one line of several: each line break was one space.
func (s *Section) fold(line, column int) {
	for line == 1 && s.line < len(s.doc.lines) {
		width := len([]rune(strings.TrimRight(s.doc.lines[s.line-1], " "))) - s.col + 1
		if column <= width || strings.TrimSpace(s.doc.lines[s.line]) == "" {
			break
		}
		column -= width + 1
		s.line++
		s.col = 1 + s.indent()
	}
	if line == 1 {
		s.col += column
	}
}

// indent is the number of spaces before the text of the section's line.
func (s Section) indent() int {
	if s.line > len(s.doc.lines) {
		return 0
	}
	text := s.doc.lines[s.line-1]
	return len(text) - len(strings.TrimLeft(text, " "))
}

// Problem reports a mistake at the section. The format is a sentence of the catalogue.
func (s Section) Problem(format string, args ...any) {
	s.report(Problem{What: i18n.T(format, args...)})
}

// NotOneOf reports that what stands here is none of the allowed names, and names the nearest.
func (s Section) NotOneOf(got string, allowed []string) {
	s.report(Problem{What: i18n.T("%q is not known", got), Allowed: allowed, Nearest: Nearest(got, allowed)})
}

func (s Section) report(p Problem) {
	p.File, p.Line, p.Column, p.Key = s.doc.name, s.line, s.col, s.path
	root := s.doc.root()
	for _, known := range root.problems {
		if known.File == p.File && known.Line == p.Line && known.Column == p.Column && known.Key == p.Key {
			return // the first mistake of a value is the one to mend
		}
	}
	root.problems = append(root.problems, p)
}
