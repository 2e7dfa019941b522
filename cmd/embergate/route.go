package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/gateway/duty"
	"embergate/rules"

	"github.com/spf13/cobra"
)

func routeVerb() *cobra.Command {
	var file, level, class, at string
	var asJSON bool
	c := &cobra.Command{
		Use:   "route -c FILE --level L --class C [--at TIME]",
		Short: "Who would be told of an alarm that nobody answers: what leaves when, to whom, by which channel",
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, lang, err := valid(cmd, file)
			if err != nil {
				return err
			}
			when, err := routeTime(at, time.Now(), g.Location(), lang)
			if err != nil {
				return err
			}
			if err := kindOfAlarm(lang, level, class); err != nil {
				return err
			}
			r := g.Route(when, rules.Level(level), rules.Class(class))
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			printRoute(cmd.OutOrStdout(), lang, g, when, r)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	c.Flags().StringVar(&level, "level", string(rules.LevelAlarm), "level of the alarm: alarm, prealarm, fault, notice")
	c.Flags().StringVar(&class, "class", string(rules.Classes[0]), "class of the alarm: fire, gas, electrical, …")
	c.Flags().StringVar(&at, "at", "", `when it is raised, in the site's time: 02:00, "2026-11-25 02:00" or RFC 3339 (default: now)`)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// kindOfAlarm refuses a level or a class that there is not.
func kindOfAlarm(lang i18n.Lang, level, class string) error {
	if !slices.Contains(rules.Levels, rules.Level(level)) {
		return invalid{errors.New(lang.Say("--level %s: one of %s", level, joined(rules.Levels)))}
	}
	if !slices.Contains(rules.Classes, rules.Class(class)) {
		return invalid{errors.New(lang.Say("--class %s: one of %s", class, joined(rules.Classes)))}
	}
	return nil
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// routeTime reads a time of day of today, a date with it, or a time with its zone.
func routeTime(text string, now time.Time, zone *time.Location, lang i18n.Lang) (time.Time, error) {
	now = now.In(zone)
	if text == "" {
		return now, nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", text, zone); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.In(zone), nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return now, invalid{errors.New(lang.Say("--at %s is no time; write it as 02:00 or \"2026-11-25 02:00\"", text))}
	}
	return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, zone), nil
}

// printRoute says a route step by step.
func printRoute(out io.Writer, lang i18n.Lang, g *gateway.Gateway, at time.Time, r duty.Route) {
	say(out, lang, "Raised %s:", at.Format("2006-01-02 15:04"))
	if !r.Quiet.IsZero() {
		say(out, lang, "  it waits for the end of the quiet hours at %s", r.Quiet.Format("01-02 15:04"))
	}
	for _, s := range r.Steps {
		say(out, lang, "  after %s, at %s:", s.After, s.At.Format(time.TimeOnly))
		if s.Fallback {
			say(out, lang, "    nobody is on duty then: everybody is told, and the sounder goes")
		}
		for _, a := range s.Tell {
			var names []string
			for _, id := range a.People {
				p, _ := g.Person(id)
				names = append(names, strings.TrimSpace(p.Name+" "+p.Phone))
			}
			if names == nil {
				names = []string{lang.Say("whoever reads it")}
			}
			fmt.Fprintf(out, "      %s  %s\n", a.Channel, strings.Join(names, ", "))
		}
	}
	if r.Repeat > 0 {
		say(out, lang, "  then all of them again every %s, until somebody acknowledges", r.Repeat)
	}
	if r.Remind > 0 {
		say(out, lang, "  acknowledged and still active after %s: a reminder", r.Remind)
	}
	if r.Reopen > 0 {
		say(out, lang, "  acknowledged and still active after %s: it wants to be acknowledged anew, and goes a step further", r.Reopen)
	}
}
