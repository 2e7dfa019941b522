package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/drivers/profiles"

	"github.com/spf13/cobra"
)

func profilesVerb() *cobra.Command {
	c := &cobra.Command{Use: "profiles", Short: "The device models inside the binary"}
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "Lists the device models",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			models, err := profiles.Load()
			if err != nil {
				return err
			}
			if asJSON {
				return listJSON(cmd, lang, models)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, id := range slices.Sorted(maps.Keys(models)) {
				p := models[id]
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", p.ID, p.Protocol, len(p.Signals), p.Name.In(string(lang)))
			}
			return w.Flush()
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.AddCommand(list)
	return c
}

func listJSON(cmd *cobra.Command, lang i18n.Lang, models drivers.Profiles) error {
	type entry struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Protocol string   `json:"protocol"`
		Signals  []string `json:"signals"`
	}
	entries := []entry{}
	for _, id := range slices.Sorted(maps.Keys(models)) {
		p := models[id]
		e := entry{ID: p.ID, Name: p.Name.In(string(lang)), Protocol: p.Protocol}
		for _, s := range p.Signals {
			e.Signals = append(e.Signals, s.ID)
		}
		entries = append(entries, e)
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(entries)
}
