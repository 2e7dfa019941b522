package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/profiles"
	"embergate/drivers/profiles/proof"

	"github.com/spf13/cobra"
)

func profilesVerb() *cobra.Command {
	c := &cobra.Command{Use: "profiles", Short: "The device models inside the binary, and a test for your own"}
	c.AddCommand(profilesListVerb(), profilesShowVerb(), profilesTestVerb())
	return c
}

func profilesListVerb() *cobra.Command {
	var asJSON, blank bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Lists the device models: id, protocol, grade of the source, signals, vendor, name, source",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			models, err := profiles.Models()
			if blank {
				models, err = profiles.Blanks()
			}
			if err != nil {
				return err
			}
			if asJSON {
				return listModelsJSON(cmd, lang, models)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, m := range models {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", m.ID, m.Protocol, m.Grade, len(m.Signals), m.Vendor, m.Name.In(string(lang)), m.Source)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&blank, "blank", false, "the blanks: devices whose register map is not public, to be filled in")
	return c
}

func listModelsJSON(cmd *cobra.Command, lang i18n.Lang, models []profiles.Model) error {
	type entry struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Vendor   string   `json:"vendor"`
		Source   string   `json:"source"`
		Grade    string   `json:"grade"`
		Protocol string   `json:"protocol"`
		Signals  []string `json:"signals"`
	}
	entries := []entry{}
	for _, m := range models {
		e := entry{m.ID, m.Name.In(string(lang)), m.Vendor, m.Source, m.Grade, m.Protocol, []string{}}
		for _, s := range m.Signals {
			e.Signals = append(e.Signals, s.ID)
		}
		entries = append(entries, e)
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(entries)
}

func profilesShowVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Prints a device model or a blank as it is written, to read it or to start your own from",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			data, err := profiles.File(args[0])
			if errors.Is(err, fs.ErrNotExist) {
				return errors.New(lang.Say("there is no device model %q; see `embergate profiles list`", args[0]))
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
}

func profilesTestVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "Checks a device model of your own and holds its vectors against what the drivers make of them",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			root, err := conf.Load(args[0], conf.OS())
			if err != nil {
				return err
			}
			m := profiles.Parse(root)
			proof.Check(root, m)
			if problems := root.Problems(); problems != nil {
				return invalid{errors.New(problems.In(lang))}
			}
			failures := proof.Vectors(m, time.Now())
			for _, f := range failures {
				fmt.Fprintln(cmd.OutOrStdout(), lang.Say("vector %q does not hold:", f.Vector))
				for _, wrong := range f.Wrong {
					fmt.Fprintln(cmd.OutOrStdout(), "  "+lang.Say(wrong.Format, wrong.Args...))
				}
			}
			if failures != nil {
				return errors.New(lang.Say("%d of %d vectors of %s do not hold", len(failures), len(m.Vectors), m.ID))
			}
			fmt.Fprintln(cmd.OutOrStdout(), lang.Say("all %d vectors of %s hold", len(m.Vectors), m.ID))
			return nil
		},
	}
}
