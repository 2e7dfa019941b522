package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
)

func runVerb(hangup <-chan os.Signal) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Runs the daemon; SIGHUP reloads the configuration, and a bad one changes nothing; SIGUSR1 logs every frame for ten minutes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDaemon(cmd, file, hangup)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	return c
}

// runDaemon runs the gateway of a file until the process is told to stop. A reload makes the new gateway first; only one
// without a mistake replaces the running one, which stops as it would for good: alarms and delays are on disk in between.
func runDaemon(cmd *cobra.Command, file string, hangup <-chan os.Signal) error {
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	g, err := build(cmd, file, log)
	if err != nil {
		return err
	}
	frugal()
	for g != nil {
		ctx, stop := context.WithCancelCause(cmd.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		next := reloaded(cmd, file, log, g, hangup, ended)
		if next == nil {
			stop(nil)
		} else {
			stop(gateway.ErrReplaced)
		}
		if err := <-ended; err != nil {
			return err
		}
		if next != nil {
			next.Replace(g)
		}
		g = next
	}
	return nil
}

// frugal makes the process small: what a daemon holds it holds for months, so that collecting earlier costs little and
// saves almost half of the memory; and what reading the configuration and starting took goes back to the system. GOGC
// overrides it.
func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	debug.FreeOSMemory()
	time.AfterFunc(started, debug.FreeOSMemory)
}

// started is how long a start takes at the most: every device has been read.
const started = 20 * time.Second

// traceTime is how long SIGUSR1 logs every frame of every device.
const traceTime = 10 * time.Minute

// reloaded waits for a hang-up with a good configuration and answers its gateway; nil where the running one ended.
func reloaded(cmd *cobra.Command, file string, log *slog.Logger, running *gateway.Gateway, hangup <-chan os.Signal, ended chan error) *gateway.Gateway {
	for {
		select {
		case err := <-ended:
			ended <- err
			return nil
		case sig := <-hangup:
			if sig == syscall.SIGUSR1 {
				log.Info("every frame is logged", "for", traceTime)
				running.LogAllFrames(time.Now().Add(traceTime))
				continue
			}
		}
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReloading)
		next, err := build(cmd, file, log)
		if err == nil {
			log.Info("configuration reloaded", "file", file)
			return next
		}
		log.Error("configuration not reloaded, the running one stays", "err", err)
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	}
}

// build makes the gateway of a file; it refuses one with mistakes, and one that needs what this version does not have.
func build(cmd *cobra.Command, file string, log *slog.Logger) (*gateway.Gateway, error) {
	g, root, lang, err := load(cmd, file, gateway.Options{Protocols: protocols, Version: version, Log: log})
	if err != nil {
		return nil, err
	}
	if problems := root.Problems(); problems != nil {
		return nil, invalid{errors.New(problems.In(lang))}
	}
	for _, w := range g.Warnings() {
		log.Warn("configuration warning", "at", w.In(i18n.English))
	}
	if missing := g.Unbuilt(); len(missing) > 0 {
		return nil, errors.New(lang.Say("this configuration cannot run yet:\n%s", lines(lang, missing)))
	}
	root.Forget() // all of it was read
	return g, nil
}

// load reads a file and makes its gateway; mistakes are in the section's problems.
func load(cmd *cobra.Command, file string, o gateway.Options) (*gateway.Gateway, conf.Section, i18n.Lang, error) {
	lang, err := language(cmd, i18n.Chinese)
	if err != nil {
		return nil, conf.Section{}, lang, err
	}
	if file == "" {
		return nil, conf.Section{}, lang, invalid{errors.New(lang.Say("which configuration? give it with -c FILE"))}
	}
	root, err := conf.Load(file, conf.OS())
	if err != nil {
		return nil, root, lang, invalid{errors.New(lang.Say("the configuration cannot be read: %s", err))}
	}
	g, err := gateway.New(root, o)
	if err != nil {
		return nil, root, lang, err
	}
	lang, err = language(cmd, g.Language())
	return g, root, lang, err
}

func lines(lang i18n.Lang, texts []i18n.Text) string {
	var b strings.Builder
	for _, t := range texts {
		fmt.Fprintf(&b, "- %s\n", lang.Say(t.Format, t.Args...))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// say prints a sentence of the catalogue.
func say(out io.Writer, lang i18n.Lang, format string, args ...any) {
	fmt.Fprintln(out, lang.Say(format, args...))
}
