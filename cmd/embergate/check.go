package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"embergate/gateway"

	"github.com/spf13/cobra"
)

func checkVerb() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Reports every mistake of a configuration, each at its line; reaches nothing",
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, root, lang, err := load(cmd, file, gateway.Options{Protocols: protocols, Version: version, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				return err
			}
			if problems := root.Problems(); problems != nil {
				return invalid{errors.New(problems.In(lang))}
			}
			n := g.Size()
			say(cmd.OutOrStdout(), lang, "%s is valid: %d endpoints, %d devices, %d signals, %d rules", file, n.Endpoints, n.Devices, n.Signals, n.Rules)
			if plan := g.Plan(); len(plan) > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), lines(lang, plan))
			}
			if warnings := g.Warnings(); warnings != nil {
				say(cmd.OutOrStdout(), lang, "but note:\n%s", warnings.In(lang))
			}
			if why, bad := g.CertificateTrouble(time.Now()); bad {
				say(cmd.OutOrStdout(), lang, "but note:\n%s", lang.Say(why.Format, why.Args...))
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	return c
}
