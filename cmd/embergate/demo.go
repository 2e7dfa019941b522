package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/sim"
	"embergate/gateway"

	"github.com/spf13/cobra"
)

func demoVerb() *cobra.Command {
	var listen string
	var length time.Duration
	c := &cobra.Command{
		Use:   "demo",
		Short: "Runs a whole simulated home: devices, rules, alarms, console, duty phone, platform; needs nothing else",
		RunE: func(cmd *cobra.Command, _ []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if length > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, length)
				defer cancel()
			}
			return demo(ctx, cmd, lang, listen)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the console; must be of this machine's loopback")
	c.Flags().DurationVar(&length, "for", 0, "end by itself after so long")
	return c
}

// demo runs the home and its gateway until ctx ends.
func demo(ctx context.Context, cmd *cobra.Command, lang i18n.Lang, listen string) error {
	out, log := cmd.OutOrStdout(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.New(lang.Say("the console cannot listen on %s: %s; choose another with --listen", listen, err))
	}
	dir, err := os.MkdirTemp("", "embergate-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	home, err := sim.Start(sim.Options{Log: log})
	if err != nil {
		return fmt.Errorf("start the simulated home: %w", err)
	}
	defer home.Close()
	root := conf.Parse("demo.yaml", home.Config(lang, dir, listener.Addr().String()), conf.OS())
	g, err := gateway.New(root, gateway.Options{Protocols: protocols, Version: version, Log: log, Listener: listener, Demo: true})
	if err != nil {
		return err
	}
	if problems := root.Problems(); problems != nil {
		return invalid{errors.New(problems.In(lang))}
	}
	say(out, lang, "Look at http://%s : a simulated home with real sockets, and its duty phone. Ctrl-C ends it.", listener.Addr())

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 3)
	go func() { ended <- home.Run(ctx) }()
	go func() {
		start := time.Now()
		ended <- home.Tell(ctx, func(t i18n.Text) {
			fmt.Fprintf(out, "%5s  %s\n", time.Since(start).Round(time.Second), lang.Say(t.Format, t.Args...))
		})
	}()
	go func() { ended <- g.Run(ctx) }()
	for range cap(ended) {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return err // what the others still do ends with the process
		}
	}
	say(out, lang, "The demo has ended.")
	return nil
}
