package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"

	"go.yaml.in/yaml/v4"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// column is a column of the table: a key of a device or of a signal.
type column struct {
	name     string
	key      string // "" where it only names what the line is about
	ofSignal bool
	form     cellForm
}

// cellForm is how a cell stands in YAML.
type cellForm uint8

const (
	words  cellForm = iota // as it is, leading zeros included
	plain                  // a number, duration or boolean
	list                   // several numbers, with spaces between
	labels                 // word=code, with ; between
)

// mostRows is how many signals a table may have; a home has some thousands at the most.
const mostRows = 20_000

// columns are those of the table, in their order. What has none, such as the vendor's limits of a device, is left alone.
var columns = []column{
	{"endpoint", "", false, words}, {"device", "", false, words}, {"device_name", "name", false, words}, {"zone", "zone", false, words},
	{"profile", "profile", false, words}, {"unit_id", "unit", false, plain}, {"topic", "topic", false, words}, {"every", "every", false, plain},
	{"stale", "stale", false, plain}, {"disabled", "disabled", false, plain},
	{"signal", "", true, words}, {"name", "name", true, words}, {"kind", "kind", true, words}, {"at", "at", true, words},
	{"json", "json", true, words}, {"path", "path", true, words}, {"type", "type", true, words}, {"order", "order", true, words},
	{"scale", "scale", true, plain}, {"offset", "offset", true, plain}, {"unit", "unit", true, words}, {"na", "na", true, list},
	{"enum", "enum", true, labels}, {"range", "range", true, list}, {"deadband", "deadband", true, plain}, {"writable", "writable", true, plain},
}

// exportTable is the devices and signals of a configuration as they are written in it. The mark of UTF-8 at its beginning is what
// Excel knows the encoding by.
func exportTable(root conf.Section) []byte {
	var out bytes.Buffer
	out.WriteString("\uFEFF")
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	var head []string
	for _, c := range columns {
		head = append(head, c.name)
	}
	_ = w.Write(head) // to memory
	for _, e := range root.At("endpoints").Items() {
		for _, d := range e.At("devices").Items() {
			signals := d.At("signals").Items()
			if len(signals) == 0 {
				signals = []conf.Section{{}}
			}
			for _, s := range signals {
				_ = w.Write(exportRow(e, d, s))
			}
		}
	}
	w.Flush()
	return out.Bytes()
}

func exportRow(endpoint, device, signal conf.Section) (cells []string) {
	for _, c := range columns {
		from, key := device, c.key
		if c.ofSignal {
			from = signal
		}
		switch c.name {
		case "endpoint":
			from, key = endpoint, "id"
		case "device", "signal":
			key = "id"
		}
		cells = append(cells, guard(c.cell(from.At(key))))
	}
	return cells
}

// cell is a value as a cell; a name in two languages is left to the file.
func (c column) cell(s conf.Section) string {
	if items := s.Items(); items != nil {
		var all []string
		for _, item := range items {
			all = append(all, item.Value())
		}
		return strings.Join(all, " ")
	}
	if keys := s.Keys(); len(keys) > 0 && c.form == labels {
		var all []string
		for _, key := range keys {
			all = append(all, key+"="+s.At(key).Value())
		}
		return strings.Join(all, ";")
	}
	return s.Value()
}

var monthPattern = regexp.MustCompile(`(?i)^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-/ .]?\d`)

// guard writes a cell that Excel would change as a formula that gives its text: 0047 would become 47, 4-4 the 4th of April, 3E5 a
// number of six digits; and what begins like a formula would be one.
func guard(text string) string {
	if text == "" {
		return ""
	}
	number, err := strconv.ParseFloat(text, 64)
	exact := err == nil && strconv.FormatFloat(number, 'f', -1, 64) == text && len(text) <= 15
	first, _ := utf8.DecodeRuneInString(text)
	risky := strings.ContainsRune("0123456789+-=@.\t\r\n＋－＝＠", first) && !exact || monthPattern.MatchString(text)
	if !risky {
		return text
	}
	return `="` + strings.ReplaceAll(text, `"`, `""`) + `"`
}

// unguard is the text of such a cell.
func unguard(cell string) string {
	cell = strings.TrimSpace(cell)
	if inner, ok := strings.CutPrefix(cell, `="`); ok && strings.HasSuffix(inner, `"`) {
		return strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
	}
	return cell
}

// tableRow is a line of the table, its cells by column.
type tableRow struct {
	line  int
	cells map[string]string
}

// readTable reads CSV as Excel saves it: UTF-8 with or without a mark, UTF-16, or GBK; with commas, semicolons or tabs.
func readTable(data []byte) (rows []tableRow, mistakes []i18n.Text) {
	text := textOf(data)
	r := csv.NewReader(strings.NewReader(text))
	first, _, _ := strings.Cut(text, "\n")
	for _, comma := range ";\t" {
		if strings.Count(first, string(comma)) > strings.Count(first, ",") {
			r.Comma = comma
		}
	}
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	head, err := r.Read()
	if err != nil {
		return nil, []i18n.Text{i18n.T("the table is no CSV: %v", err)}
	}
	for i, name := range head {
		head[i] = strings.ToLower(strings.TrimSpace(name))
		if head[i] != "" && !slices.ContainsFunc(columns, func(c column) bool { return c.name == head[i] }) {
			mistakes = append(mistakes, i18n.T("the table has a column %q that means nothing here", name))
		}
	}
	for _, name := range []string{"endpoint", "device"} {
		if !slices.Contains(head, name) {
			mistakes = append(mistakes, i18n.T("the table has no column %q", name))
		}
	}
	for known := len(mistakes) == 0; known; {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, []i18n.Text{i18n.T("the table is no CSV: %v", err)}
		}
		line, _ := r.FieldPos(0)
		row := tableRow{line, map[string]string{}}
		for i, cell := range record {
			if i < len(head) && unguard(cell) != "" {
				row.cells[head[i]] = unguard(cell)
			}
		}
		switch {
		case len(row.cells) == 0: // Excel leaves empty lines at the end
		case len(rows)+len(mistakes) == mostRows:
			return nil, []i18n.Text{i18n.T("the table has more than %d lines", mostRows)}
		case row.cells["endpoint"] == "" || row.cells["device"] == "":
			mistakes = append(mistakes, i18n.T("line %d: endpoint and device must be named", line))
		default:
			rows = append(rows, row)
		}
	}
	return rows, mistakes
}

// textOf is a file's text, whatever Excel saved it as.
func textOf(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")):
		return string(data[3:])
	case bytes.HasPrefix(data, []byte("\xFF\xFE")):
		units := make([]uint16, 0, len(data)/2)
		for i := 2; i+1 < len(data); i += 2 {
			units = append(units, uint16(data[i])|uint16(data[i+1])<<8)
		}
		return string(utf16.Decode(units))
	case !utf8.Valid(data):
		if text, err := simplifiedchinese.GBK.NewDecoder().Bytes(data); err == nil {
			return string(text)
		}
	}
	return string(data)
}

// node is a cell as YAML; false where it cannot be one.
func (c column) node(cell string) (*yaml.Node, bool) {
	switch c.form {
	case plain:
		if low := strings.ToLower(cell); low == "true" || low == "false" {
			cell = low // Excel writes TRUE
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Value: cell}, true
	case list:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, word := range strings.Fields(cell) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: word})
		}
		return n, true
	case labels:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for pair := range strings.SplitSeq(cell, ";") {
			word, code, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, false
			}
			put(n, strings.TrimSpace(word), &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(code)})
			n.Content[len(n.Content)-2].Tag = "!!str"
		}
		return n, true
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: cell}, true
}
