package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/gateway/configfile"

	"github.com/spf13/cobra"
)

func configVerb() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "The configuration as a whole: what stood in it before, and back to that"}
	var file string
	c.PersistentFlags().StringVarP(&file, "config", "c", "", "the configuration")
	c.AddCommand(historyVerb(&file), rollbackVerb(&file), showConfigVerb(&file), schemaVerb())
	return c
}

func showConfigVerb(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "show -c FILE",
		Short: "Prints the configuration as it is in force: defaults filled in, models written out, secrets masked",
		RunE: func(cmd *cobra.Command, _ []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			root, err := openConfig(lang, *file)
			if err != nil {
				return err
			}
			text, g, err := gateway.Effective(root, verbOptions())
			if err != nil {
				return err
			}
			if problems := root.Problems(); problems != nil {
				if lang, err = language(cmd, g.Language()); err != nil {
					return err
				}
				return invalid{errors.New(problems.In(lang))}
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func schemaVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Prints the JSON schema of a configuration, with which editors complete and check it",
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, _, err := gateway.Schema(verbOptions())
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(schema, "", " ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
			return err
		},
	}
}

// versions are what is kept of a configuration, which itself may have any mistake, with what stands in it now.
func versions(cmd *cobra.Command, file string) (all []configfile.Version, now []byte, lang i18n.Lang, err error) {
	if lang, err = language(cmd, i18n.Chinese); err != nil {
		return nil, nil, lang, err
	}
	if file == "" {
		return nil, nil, lang, invalid{errors.New(lang.Say("which configuration? give it with -c FILE"))}
	}
	if now, err = os.ReadFile(file); err != nil {
		return nil, nil, lang, invalid{errors.New(lang.Say("the configuration cannot be read: %s", err))}
	}
	if asked := conf.Parse(file, now, conf.OS()).At("site").At("language").Value(); asked == string(i18n.English) {
		if lang, err = language(cmd, i18n.English); err != nil {
			return nil, nil, lang, err
		}
	}
	all, err = configfile.Versions(file)
	return all, now, lang, err
}

// earlier is the version with a number; without one, the latest that can run and is not what stands in the file now. The
// problems are its mistakes.
func earlier(file string, all []configfile.Version, now []byte, args []string, lang i18n.Lang) (v configfile.Version, text []byte, problems conf.Problems, err error) {
	number := 0
	if len(args) > 0 {
		if number, err = strconv.Atoi(args[0]); err != nil || number < 1 {
			return v, nil, nil, invalid{errors.New(lang.Say("%q is no number of a version; embergate config history lists them", args[0]))}
		}
	}
	for _, v := range all {
		if number != 0 && v.Number != number {
			continue
		}
		text, err := os.ReadFile(v.Path)
		if err != nil {
			return v, nil, nil, err
		}
		if number == 0 && bytes.Equal(text, now) {
			continue
		}
		root := conf.Parse(file, text, conf.OS())
		if _, err := gateway.New(root, verbOptions()); err != nil {
			return v, nil, nil, err
		}
		if problems := root.Problems(); number != 0 || problems == nil {
			return v, text, problems, nil
		}
	}
	return v, nil, nil, errors.New(lang.Say("no such earlier version is kept"))
}

func historyVerb(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "history -c FILE [NUMBER]",
		Short: "Lists what stood in the configuration before, the latest first; with a number, what going back there would change",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, now, lang, err := versions(cmd, *file)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				_, text, _, err := earlier(*file, all, now, args, lang)
				if err != nil {
					return err
				}
				for _, line := range differ(string(now), string(text)) {
					fmt.Fprintln(cmd.OutOrStdout(), line)
				}
				return nil
			}
			if len(all) == 0 {
				say(cmd.OutOrStdout(), lang, "nothing is kept yet: that begins when a daemon has run with it, or a verb changed it")
				return nil
			}
			return listVersions(cmd.OutOrStdout(), all, now, lang)
		},
	}
}

func listVersions(out io.Writer, all []configfile.Version, now []byte, lang i18n.Lang) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, v := range all {
		text, err := os.ReadFile(v.Path)
		if err != nil {
			return err
		}
		added, removed := 0, 0
		for _, line := range differ(string(now), string(text)) {
			switch line[0] {
			case '+':
				added++
			case '-':
				removed++
			}
		}
		what := lang.Say("as it is now")
		if added+removed > 0 {
			what = lang.Say("going back adds %d lines and takes %d away", added, removed)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\n", v.Number, v.Kept.Local().Format(time.DateTime), what)
	}
	return w.Flush()
}

func rollbackVerb(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "rollback -c FILE [NUMBER]",
		Short: "Puts an earlier configuration back, checks it first and has the running daemon take it; without a number the latest that can run and differs",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, now, lang, err := versions(cmd, *file)
			if err != nil {
				return err
			}
			v, text, problems, err := earlier(*file, all, now, args, lang)
			if err != nil {
				return err
			}
			if problems != nil {
				return invalid{errors.New(lang.Say("version %d has mistakes; nothing is changed:\n%s", v.Number, problems.In(lang)))}
			}
			if _, err := configfile.Save(*file, now, text, time.Now()); err != nil {
				return err
			}
			say(cmd.OutOrStdout(), lang, "version %d of %s is back; what stood there is kept too", v.Number, v.Kept.Local().Format(time.DateTime))
			return reloadDaemon(cmd, *file, lang)
		},
	}
}

// reloadDaemon has the running daemon of a configuration take it, and says so. That none runs is no failure.
func reloadDaemon(cmd *cobra.Command, file string, lang i18n.Lang) error {
	daemon := client{config: file, lang: lang, chosen: true}
	err := daemon.post(cmd.Context(), "/api/v1/config/reload", nil, nil)
	var none silent
	var no *refused
	switch {
	case err == nil:
		say(cmd.OutOrStdout(), lang, "the running daemon has taken it")
	case errors.As(err, &none):
		say(cmd.OutOrStdout(), lang, "no daemon answers; it is in force from the next start: %s", err)
	case errors.As(err, &no) && (no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden):
		return errors.New(lang.Say("the daemon was not told: %s; do it with: systemctl reload embergate", err))
	default:
		return err
	}
	return nil
}

// differ are the lines that change from one text to another, each after - or +, and @ before a stretch: where it begins.
func differ(from, to string) (changes []string) {
	a, b := strings.Split(from, "\n"), strings.Split(to, "\n")
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	a, b = a[at:], b[at:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	common := longest(a, b)
	last := -2
	put := func(mark string, line int, text string) {
		if line > last+1 {
			changes = append(changes, fmt.Sprintf("@ %d", line+1))
		}
		changes = append(changes, mark+text)
		last = line
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && len(common) > 0 && common[0] == [2]int{i, j}:
			common = common[1:]
			i, j = i+1, j+1
		case i < len(a) && (len(common) == 0 || i < common[0][0]):
			put("-", at+i, a[i])
			i++
		default:
			put("+", at+i, b[j])
			j++
		}
	}
	return changes
}

// mostCells bounds the memory of a comparison; longer stretches are told as all gone and all new.
const mostCells = 4 << 20

// longest is the longest common subsequence of two lists of lines, as pairs of indexes.
func longest(a, b []string) (pairs [][2]int) {
	if len(a)*len(b) > mostCells {
		return nil
	}
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width) // of what is common from a[i] and b[j] on
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if a[i] == b[j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}
