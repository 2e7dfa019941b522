package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"embergate/drivers/i18n"
	"embergate/drivers/sim"

	"github.com/spf13/cobra"
)

func simulateVerb() *cobra.Command {
	var o sim.Options
	var file, data string
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Runs only the simulated home, for other tools, and writes a configuration that fits it",
		RunE: func(cmd *cobra.Command, _ []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			home, err := sim.Start(o)
			if err != nil {
				return err
			}
			defer home.Close()
			config := home.Config(lang, data, "127.0.0.1:8080")
			if file == "" {
				_, err = cmd.OutOrStdout().Write(config)
			} else {
				err = os.WriteFile(file, config, 0o600) // its secrets are the simulation's own
			}
			if err != nil {
				return err
			}
			if err := home.Run(cmd.Context()); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&o.Modbus, "modbus", "127.0.0.1:0", "address of the Modbus TCP devices")
	c.Flags().StringVar(&o.MQTT, "mqtt", "127.0.0.1:0", "address of the broker")
	c.Flags().IntVar(&o.Meters, "meters", 0, "so many more Modbus devices of ten registers each")
	c.Flags().StringVarP(&file, "output", "o", "", "where to write the configuration (default: standard output)")
	c.Flags().StringVar(&data, "data", "./data", "the folder of state that the configuration names")
	return c
}
