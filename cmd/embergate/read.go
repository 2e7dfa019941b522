package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/drivers/serial"
	"embergate/gateway"

	"github.com/spf13/cobra"
)

func readVerb() *cobra.Command {
	var file string
	var watch, asJSON bool
	var wait time.Duration
	var daemon client
	c := &cobra.Command{
		Use:   "read -c FILE [DEVICE or SIGNAL …]",
		Short: "Reads devices now, through the driver that the daemon uses, and shows what they say",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			o := verbOptions()
			o.Asked, o.Now = gateway.Asked(names), throughDaemon(cmd, &daemon)
			g, root, lang, err := load(cmd, file, o)
			if err != nil {
				return err
			}
			daemon.lang, daemon.config, daemon.site = lang, file, root.At("site").At("id").Value()
			if watch {
				return named(lang, g.Watch(cmd.Context(), names, func(values []gateway.Value) { show(cmd.OutOrStdout(), values, asJSON, true) }))
			}
			return readOnce(cmd, g, lang, names, wait, asJSON)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "", "the configuration")
	daemon.flagsBesideConfig(c)
	f.BoolVar(&watch, "watch", false, "goes on until it is stopped, and shows what comes; as JSON, one object a line")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.DurationVar(&wait, "wait", 10*time.Second, "how long to wait for devices that speak by themselves")
	return c
}

// readOnce shows all values; it fails where a device or wire gave nothing at all.
func readOnce(cmd *cobra.Command, g *gateway.Gateway, lang i18n.Lang, names []string, wait time.Duration, asJSON bool) error {
	values, err := g.Read(cmd.Context(), names, wait)
	if named(lang, err) != nil {
		return named(lang, err)
	}
	show(cmd.OutOrStdout(), values, asJSON, false)
	if err != nil {
		return errors.New(wireError(lang, err))
	}
	good := map[string]bool{}
	var silent []string
	for _, v := range values {
		device, _, _ := strings.Cut(v.Signal, ".")
		if _, seen := good[device]; !seen {
			silent = append(silent, device)
		}
		good[device] = good[device] || v.Quality != drivers.Bad
	}
	dead := silent[:0]
	for _, device := range silent {
		if !good[device] {
			dead = append(dead, device)
		}
	}
	if len(dead) > 0 {
		return errors.New(lang.Say("no value of: %s", strings.Join(dead, ", ")))
	}
	return nil
}

// named is wrong usage where a name is not in the configuration; nil for every other error.
func named(lang i18n.Lang, err error) error {
	var unknown *gateway.UnknownName
	if errors.As(err, &unknown) {
		return invalid{errors.New(lang.Say(unknown.Format, unknown.Args...))}
	}
	return nil
}

// wireError says why a wire cannot be had.
func wireError(lang i18n.Lang, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return lang.Say("stopped")
	case errors.Is(err, serial.ErrHeld):
		return lang.Say("another program holds the serial line, mostly the running daemon: look at its console, or stop it first (%s)", err)
	}
	return lang.Say("the wire cannot be used: %s", err)
}

// shown is a value as JSON.
type shown struct {
	Signal  string   `json:"signal"`
	Value   *float64 `json:"value"` // null where there is none
	Unit    string   `json:"unit"`
	Quality string   `json:"quality"`
	Reason  string   `json:"reason"`
	Raw     string   `json:"raw"`
	Detail  string   `json:"detail,omitempty"`
}

// show prints values as a table, or as JSON: an array, or while watching one object a line.
func show(out io.Writer, values []gateway.Value, asJSON, watching bool) {
	all := make([]shown, 0, len(values))
	for _, v := range values {
		s := shown{Signal: v.Signal, Unit: v.Unit, Quality: v.Quality.String(), Reason: string(v.Reason), Raw: raw(v), Detail: v.Detail}
		if v.Quality != drivers.Bad {
			s.Value = &v.Value
		}
		all = append(all, s)
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	switch {
	case asJSON && watching:
		for _, s := range all {
			_ = enc.Encode(s) // of a reader that has gone nobody wants to know
		}
		return
	case asJSON:
		enc.SetIndent("", "  ")
		_ = enc.Encode(all)
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, s := range all {
		value := "-"
		if s.Value != nil {
			value = fmt.Sprintf("%.10g", *s.Value)
		}
		if label := values[i].Label; label != "" {
			value += " (" + label + ")"
		}
		quality := s.Quality
		if s.Reason != "" {
			quality += " " + s.Reason
		}
		raw := s.Raw
		if s.Detail != "" {
			raw = strings.TrimSpace(raw + "  " + s.Detail)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Signal, value, s.Unit, quality, raw)
	}
	w.Flush()
}

// raw is a bit or registers as on the wire, 0102 0304, or what a payload said.
func raw(v gateway.Value) string {
	if !v.Registers {
		return strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return '.' // a payload must not speak to the terminal
		}, string(v.Raw))
	}
	if len(v.Raw) == 1 {
		return fmt.Sprint(v.Raw[0])
	}
	var words []string
	for word := range slices.Chunk(v.Raw, 2) {
		words = append(words, fmt.Sprintf("%x", word))
	}
	return strings.Join(words, " ")
}
