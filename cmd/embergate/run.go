package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"embergate/drivers/i18n"
	"embergate/drivers/profiles"
	"embergate/gateway"
	"embergate/gateway/configfile"
	"embergate/gateway/logs"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
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

// daemonOf is a daemon of a configuration file, while it runs.
type daemonOf struct {
	cmd    *cobra.Command
	file   string
	log    *slog.Logger
	levels *logs.Handler
	hangup <-chan os.Signal
	asked  chan chan<- error // by the API to reload; answered with why not, or nil
}

// runDaemon runs the gateway of a file until the process is told to stop. A reload makes the new gateway first; only one
// without a mistake replaces the running one, which stops as it would for good: alarms and delays are on disk in between.
func runDaemon(cmd *cobra.Command, file string, hangup <-chan os.Signal) error {
	levels := logs.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	defer levels.Close()
	frugal()
	d := &daemonOf{cmd, file, slog.New(levels), levels, hangup, make(chan chan<- error)}
	g, err := d.build()
	if err != nil {
		return d.hint(err)
	}
	for g != nil {
		profiles.Forget()
		giveBack() // what reading the configuration took, and the gateway before
		later := time.AfterFunc(started, giveBack)
		ctx, stop := context.WithCancelCause(cmd.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		next := d.reloaded(g, ended)
		if next == nil {
			stop(nil)
		} else {
			stop(gateway.ErrReplaced)
		}
		err := <-ended
		later.Stop()
		if err != nil {
			return err
		}
		if next != nil {
			next.Replace(g)
		}
		g = next
	}
	return nil
}

// hint says how to go back where a configuration with mistakes keeps the daemon from starting.
func (d *daemonOf) hint(err error) error {
	var mistakes invalid
	if kept, _ := configfile.Versions(d.file); !errors.As(err, &mistakes) || d.file == "" || len(kept) == 0 {
		return err
	}
	lang, _ := language(d.cmd, i18n.Chinese)
	return invalid{fmt.Errorf("%w\n%s", err, lang.Say("what ran before is kept; to put it back: embergate config rollback -c %s", d.file))}
}

// traceTime is how long SIGUSR1 logs every frame of every device.
const traceTime = 10 * time.Minute

// reloaded waits until somebody has it read a good configuration, and answers its gateway; nil where the running one ended.
func (d *daemonOf) reloaded(running *gateway.Gateway, ended chan error) *gateway.Gateway {
	for {
		var answer chan<- error
		select {
		case err := <-ended:
			ended <- err
			return nil
		case answer = <-d.asked:
		case sig := <-d.hangup:
			if sig == syscall.SIGUSR1 {
				d.log.Info("every frame is logged", "for", traceTime)
				running.LogAllFrames(time.Now().Add(traceTime))
				continue
			}
		}
		_, _ = daemon.SdNotify(false, reloading())
		next, err := d.build()
		if answer != nil {
			answer <- err
		}
		if err == nil {
			d.log.Info("configuration reloaded", "file", d.file)
			return next
		}
		d.log.Error("configuration not reloaded, the running one stays", "err", err)
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	}
}

// reloading is what systemd is told before a reload: that, and since when (sd_notify(3)).
func reloading() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}

// reload is how the API has the file read anew: the error says why the running configuration stays.
func (d *daemonOf) reload(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case d.asked <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// build makes the gateway of the file; it refuses one with mistakes, and one that needs what this version does not have.
// One that can run is kept, so that a later change by hand can be taken back.
func (d *daemonOf) build() (*gateway.Gateway, error) {
	g, root, _, err := load(d.cmd, d.file, gateway.Options{Protocols: protocols, Version: version, Log: d.log, File: d.file, Levels: d.levels, Reload: d.reload})
	if err != nil {
		return nil, err
	}
	for _, w := range g.Warnings() {
		d.log.Warn("configuration warning", "at", w.In(i18n.English))
	}
	if err := configfile.Keep(d.file, root.Text(), time.Now()); err != nil {
		d.log.Warn("configuration not kept, a later change cannot be taken back", "err", err)
	}
	root.Forget() // all of it was read
	return g, nil
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
