package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/gateway/console"

	"github.com/spf13/cobra"
)

func rulesVerb() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "The rules in force, tests of rules, and what a rule needs to raise an alarm now"}
	c.AddCommand(listRules(), testRules(), explainRule())
	return c
}

func listRules() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list -c FILE",
		Short: "Lists the rules in force and at how many sources each applies",
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, lang, err := valid(cmd, file)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), g.RulesInForce())
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, r := range g.RulesInForce() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Class, r.Level, r.From, lang.Say("at %d sources", len(r.Sources)), r.Name)
			}
			return w.Flush()
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, with conditions and sources")
	return c
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func testRules() *cobra.Command {
	var config string
	var span gateway.Span
	var asJSON bool
	c := &cobra.Command{
		Use: "test FILE … | test -c FILE --since 7d [--until TIME]",
		Short: "Plays tests of rules: readings in, alarms out; exit status 1 where one does not come true. " +
			"With --since: what the rules of a configuration would have done with the gateway's own history",
		RunE: func(cmd *cobra.Command, files []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			switch replays := span.Since != ""; {
			case replays && (config == "" || len(files) > 0):
				return invalid{errors.New(lang.Say("a replay needs a configuration and no other file: rules test -c FILE --since 7d"))}
			case replays:
				return replayRules(cmd, config, span, asJSON)
			case len(files) == 0 || config != "" || span.Until != "" || asJSON:
				return invalid{errors.New(lang.Say("name files of rule tests, or a time: rules test -c FILE --since 7d"))}
			}
			failed := 0
			for _, file := range files {
				ok, err := testFile(cmd.OutOrStdout(), lang, file)
				if err != nil {
					return err
				}
				if !ok {
					failed++
				}
			}
			if failed > 0 {
				return errors.New(lang.Say("%d of %d files failed", failed, len(files)))
			}
			return nil
		},
		Args: cobra.ArbitraryArgs,
	}
	c.Flags().StringVarP(&config, "config", "c", "", "the configuration whose rules are played")
	c.Flags().StringVar(&span.Since, "since", "", "from when: 7d, 36h, a day or a time of the site")
	c.Flags().StringVar(&span.Until, "until", "", "until when: a day or a time (default: now)")
	c.Flags().BoolVar(&asJSON, "json", false, "what a replay found, as JSON")
	return c
}

// testFile plays one file and prints what did not come true, with what happened instead.
func testFile(out io.Writer, lang i18n.Lang, file string) (ok bool, err error) {
	root, err := conf.Load(file, conf.OS())
	if err != nil {
		return false, invalid{errors.New(lang.Say("the test cannot be read: %s", err))}
	}
	o := verbOptions()
	t, err := gateway.TestRules(root, o, lang)
	if err != nil {
		return false, err
	}
	if problems := root.Problems(); problems != nil {
		return false, invalid{errors.New(problems.In(lang))}
	}
	if len(t.Missed) == 0 {
		say(out, lang, "ok    %s: all %d expectations came true", file, t.Expectations)
		return true, nil
	}
	say(out, lang, "FAIL  %s: %d of %d expectations did not come true", file, len(t.Missed), t.Expectations)
	for _, m := range t.Missed {
		fmt.Fprintf(out, "      %s\n", lang.Say(m.Format, m.Args...))
	}
	say(out, lang, "      what the alarms did:")
	for _, h := range t.Happened {
		fmt.Fprintf(out, "        %s\n", h)
	}
	if len(t.Happened) == 0 {
		say(out, lang, "        nothing")
	}
	return false, nil
}

func explainRule() *cobra.Command {
	var file string
	var asJSON bool
	var daemon client
	c := &cobra.Command{
		Use:   "explain -c FILE RULE",
		Short: "What a rule, or a rule@source, would need to raise an alarm now, as the running daemon sees it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			g, lang, err := valid(cmd, file)
			if err != nil {
				return err
			}
			daemon.lang, daemon.local = lang, g.Local()
			id, _, _ := strings.Cut(args[0], "@")
			list := g.RulesInForce()
			i := slices.IndexFunc(list, func(r gateway.RuleInForce) bool { return r.ID == id })
			if i < 0 {
				return errors.New(lang.Say("%s has no rule %q; rules list shows them all", file, id))
			}
			var now []console.RuleState
			err = daemon.get(cmd.Context(), "/api/v1/rules/"+url.PathEscape(args[0]), &now)
			if unanswered := (silent{}); errors.As(err, &unanswered) {
				return explainFrom(cmd.OutOrStdout(), lang, list[i], args[0], unanswered, asJSON)
			} else if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), now)
			}
			say(cmd.OutOrStdout(), lang, "As the daemon at %s sees it, %s:", daemon.base, time.Now().In(g.Location()).Format(time.DateTime))
			for _, s := range now {
				explainState(cmd.OutOrStdout(), lang, s, g.Location())
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	daemon.flags(c)
	return c
}

// explainFrom says what the configuration alone knows of a rule.
func explainFrom(out io.Writer, lang i18n.Lang, r gateway.RuleInForce, id string, why error, asJSON bool) error {
	r.Sources = slices.DeleteFunc(r.Sources, func(s gateway.RuleSource) bool { return id != r.ID && id != r.ID+"@"+s.Source })
	if asJSON {
		return printJSON(out, r)
	}
	say(out, lang, "%s; this is what the configuration says, without any value", why)
	fmt.Fprintf(out, "%s  %s\n", r.ID, r.Name)
	conditions(out, lang, r.When, r.Until)
	delays(out, lang, r.For, r.Hold, r.Latch)
	for _, s := range r.Sources {
		say(out, lang, "  at %s, reads %s", s.Source, strings.Join(s.Inputs, ", "))
		if s.Differs != "" {
			say(out, lang, "    there it raises when %s", s.Differs)
		}
	}
	return nil
}

func conditions(out io.Writer, lang i18n.Lang, when, until string) {
	say(out, lang, "  raises when  %s", when)
	if until != "" {
		say(out, lang, "  clears when  %s", until)
	}
}

func delays(out io.Writer, lang i18n.Lang, on, off string, latch bool) {
	if on != "" {
		say(out, lang, "  it must hold for %s", on)
	}
	if off != "" {
		say(out, lang, "  it must be clear for %s", off)
	}
	if latch {
		say(out, lang, "  it stays until a person resets it")
	}
}

// explainState says one instance: its words with what they read, what they make, and what stands between it and an alarm.
func explainState(out io.Writer, lang i18n.Lang, s console.RuleState, at *time.Location) {
	fmt.Fprintf(out, "%s  %s\n", s.Key, strings.TrimSpace(s.ZonePath+" "+s.Name))
	conditions(out, lang, s.When, s.Until)
	for _, o := range s.Operands {
		fmt.Fprintf(out, "    %s = %s\n", o.Text, o.Value)
	}
	switch {
	case s.Alarm != nil:
		say(out, lang, "  its alarm %s is open since %s: %s", s.Alarm.ID, s.Alarm.RaisedAt.In(at).Format(time.DateTime), stateOf(*s.Alarm, lang))
	case s.Inner != "":
		say(out, lang, "  all evidence lies in the zone %s, whose own rule raises it", s.Inner)
	case s.Error != "":
		say(out, lang, "  it cannot be evaluated: %s", s.Error)
	case s.Raises == "true" && s.Waited != nil:
		say(out, lang, "  it holds for %s of %s", seconds(*s.Waited), seconds(s.For))
	case s.Raises == "unknown":
		say(out, lang, "  it is unknown: a reading that it needs is missing; unknown neither raises nor clears")
	default:
		say(out, lang, "  it does not hold")
	}
	delays(out, lang, positive(s.For), positive(s.Hold), s.Latch)
	if s.Test {
		say(out, lang, "  its zone is under test: an alarm would be marked as a test and leave the site by no channel")
	}
}

func seconds(s float64) time.Duration {
	return (time.Duration(s * float64(time.Second))).Round(time.Second / 10)
}

func positive(s float64) string {
	if s <= 0 {
		return ""
	}
	return seconds(s).String()
}
