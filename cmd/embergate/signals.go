package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/gateway/configfile"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

func signalsVerb() *cobra.Command {
	c := &cobra.Command{Use: "signals", Short: "The devices and signals of a configuration as a table for Excel, and back"}
	c.AddCommand(signalsExportVerb(), signalsImportVerb())
	return c
}

func signalsExportVerb() *cobra.Command {
	var file, out string
	c := &cobra.Command{
		Use:   "export -c FILE [-o TABLE.csv]",
		Short: "Writes the devices and signals of a configuration as CSV, one line a signal",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, root, _, err := load(cmd, file, verbOptions())
			if err != nil {
				return err
			}
			return writeTo(cmd, out, exportTable(root))
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	c.Flags().StringVarP(&out, "output", "o", "", "the table to write (default: standard output)")
	return c
}

func signalsImportVerb() *cobra.Command {
	var file, out string
	c := &cobra.Command{
		Use:   "import -c FILE TABLE.csv [-o NEW.yaml]",
		Short: "Writes the configuration with the devices and signals of a table in it; what the table does not name stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			if file == "" {
				return invalid{errors.New(lang.Say("which configuration? give it with -c FILE"))}
			}
			table, err := os.ReadFile(args[0])
			if err != nil {
				return invalid{errors.New(lang.Say("the table cannot be read: %s", err))}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return invalid{errors.New(lang.Say("the configuration cannot be read: %s", err))}
			}
			rows, mistakes := readTable(table)
			var merged []byte
			if len(mistakes) == 0 {
				merged, mistakes = mergeTable(text, rows)
			}
			if len(mistakes) > 0 {
				return invalid{errors.New(lines(lang, mistakes))}
			}
			if err := checkMerged(cmd, file, merged); err != nil {
				return err
			}
			if same, err := sameFile(file, out); err != nil || same {
				if err == nil {
					_, err = configfile.Save(file, text, merged, time.Now())
				}
				return err
			}
			return writeTo(cmd, out, merged)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	c.Flags().StringVarP(&out, "output", "o", "", "the configuration to write, which may be the same file (default: standard output)")
	return c
}

// checkMerged reports what is wrong with the new configuration before anything is written.
func checkMerged(cmd *cobra.Command, file string, text []byte) error {
	root := conf.Parse(file, text, conf.OS())
	g, err := gateway.New(root, verbOptions())
	if err != nil {
		return err
	}
	lang, err := language(cmd, g.Language())
	if err != nil {
		return err
	}
	if problems := root.Problems(); problems != nil {
		return invalid{errors.New(lang.Say("the configuration would have mistakes with this table; nothing is written. The lines are those of the new one:\n%s", problems.In(lang)))}
	}
	return nil
}

// sameFile tells whether two paths are of one file.
func sameFile(a, b string) (bool, error) {
	there, err := os.Stat(b)
	if errors.Is(err, fs.ErrNotExist) || b == "" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := os.Stat(a)
	return err == nil && os.SameFile(here, there), err
}

// writeTo writes a whole file in the place of an old one, or to standard output.
func writeTo(cmd *cobra.Command, path string, data []byte) error {
	if path == "" {
		_, err := cmd.OutOrStdout().Write(data)
		return err
	}
	mode := fs.FileMode(0o644)
	if old, err := os.Stat(path); err == nil {
		mode = old.Mode().Perm()
	}
	return writeWhole(path, mode, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// mergeTable is the configuration with the devices and signals of a table: those that are there are changed in the cells that are
// not empty, the others are added. Comments and all other keys stay.
func mergeTable(text []byte, rows []tableRow) ([]byte, []i18n.Text) {
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil || len(doc.Content) == 0 {
		return nil, []i18n.Text{i18n.T("the configuration is no YAML: %v", err)}
	}
	var mistakes []i18n.Text
	endpoints, said := child(doc.Content[0], "endpoints"), map[string]tableRow{}
	if line := shared(endpoints); line > 0 {
		return nil, []i18n.Text{i18n.T("line %d of the configuration repeats another part by its anchor; a table cannot change one of the two: write it out", line)}
	}
	for _, row := range rows {
		endpoint := member(endpoints, row.cells["endpoint"])
		if endpoint == nil {
			mistakes = append(mistakes, i18n.T("line %d: there is no endpoint %q in the configuration; it must be there first", row.line, row.cells["endpoint"]))
			continue
		}
		device := ensure(endpoint, "devices", row.cells["device"])
		signal := row.cells["signal"]
		for _, c := range columns {
			value := row.cells[c.name]
			if value == "" || c.key == "" {
				continue
			}
			of := []string{row.cells["endpoint"], row.cells["device"], c.name}
			at := device
			if c.ofSignal {
				of = append(of, signal)
				if signal == "" {
					mistakes = append(mistakes, i18n.T("line %d: %s belongs to a signal, and the line names none", row.line, c.name))
					break
				}
				at = ensure(device, "signals", signal)
			}
			what := strings.Join(of, "\x00")
			if other, is := said[what]; is && other.cells[c.name] != value { // a device stands on a line for each of its signals
				mistakes = append(mistakes, i18n.T("line %d: %s is %q, and %q on line %d: change all lines of it", row.line, c.name, value, other.cells[c.name], other.line))
				continue
			}
			said[what] = row
			node, ok := c.node(value)
			if !ok {
				mistakes = append(mistakes, i18n.T("line %d: %s: %q cannot be read", row.line, c.name, value))
				continue
			}
			put(at, c.key, node)
		}
		if signal != "" {
			ensure(device, "signals", signal)
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	out, err := yaml.Dump(&doc, yaml.WithIndent(2), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(200))
	if err != nil {
		return nil, []i18n.Text{i18n.T("the configuration cannot be written: %v", err)}
	}
	return out, nil
}

// shared is the first line on which a part of the file is repeated by its anchor; 0 where none is.
func shared(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	if n.Kind == yaml.AliasNode {
		return n.Line
	}
	for _, part := range n.Content {
		if line := shared(part); line > 0 {
			return line
		}
	}
	return 0
}

// child is the value of a key, nil where there is none.
func child(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// member is the mapping of a list that has the id.
func member(list *yaml.Node, id string) *yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	for _, item := range list.Content {
		if v := child(item, "id"); v != nil && v.Value == id {
			return item
		}
	}
	return nil
}

// ensure is the member with the id of a list under a key; both are made where they are missing.
func ensure(mapping *yaml.Node, key, id string) *yaml.Node {
	list := child(mapping, key)
	if list == nil || list.Kind != yaml.SequenceNode {
		list = &yaml.Node{Kind: yaml.SequenceNode}
		put(mapping, key, list)
	}
	if found := member(list, id); found != nil {
		return found
	}
	made := &yaml.Node{Kind: yaml.MappingNode}
	if key == "signals" {
		made.Style = yaml.FlowStyle
	}
	put(made, "id", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: id})
	list.Style &^= yaml.FlowStyle
	list.Content = append(list.Content, made)
	return made
}

// put sets a key; what says the same already stays as it is written.
func put(mapping *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			if same(mapping.Content[i+1], value) {
				return
			}
			mapping.Content[i+1] = value
			return
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
}

func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
