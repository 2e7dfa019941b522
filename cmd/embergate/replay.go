package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/rules"

	"github.com/spf13/cobra"
)

// replayRules plays the gateway's own history through the rules of a configuration.
func replayRules(cmd *cobra.Command, file string, span gateway.Span, asJSON bool) error {
	g, lang, err := valid(cmd, file)
	if err != nil {
		return err
	}
	r, err := g.ReplayRules(cmd.Context(), span, time.Now())
	var bad *gateway.BadSelection
	switch {
	case errors.As(err, &bad):
		return invalid{errors.New(lang.Say(bad.Text.Format, bad.Text.Args...))}
	case err != nil:
		return errors.New(lang.Say("the history cannot be read: %s", err))
	case asJSON:
		return printJSON(cmd.OutOrStdout(), r)
	}
	return tellReplay(cmd.OutOrStdout(), lang, r)
}

// tellReplay prints what would have happened, what happened instead, and how far the history is to be believed.
func tellReplay(out io.Writer, lang i18n.Lang, r *gateway.Replay) error {
	say(out, lang, "What the rules would have done from %s to %s; the daemon was not touched.", r.From.Format(time.DateTime), r.To.Format(time.DateTime))
	switch {
	case r.Exact == nil:
		say(out, lang, "Of all this time only the least, greatest and last value of each minute is kept: times marked ~ are right to a minute or two, and what was shorter is guessed.")
	case r.Exact.After(r.From):
		say(out, lang, "Before %s only the least, greatest and last value of each minute is kept: times marked ~ are right to a minute or two, and what was shorter is guessed.", r.Exact.Format(time.DateTime))
	}
	if r.Known.Before(r.To.Add(-time.Minute)) {
		if r.Known.Before(r.From) {
			say(out, lang, "There is no history of this time.")
		} else {
			say(out, lang, "The history ends at %s; a running daemon writes it every five minutes.", r.Known.Format(time.DateTime))
		}
	}
	if len(r.Missing) > 0 {
		say(out, lang, "Nothing is kept of %d signals: %s", len(r.Missing), strings.Join(r.Missing[:min(len(r.Missing), 10)], ", "))
	}
	if r.AtStart > 0 {
		say(out, lang, "%d alarms would have been open at the start.", r.AtStart)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range r.Events {
		was := lang.Say("not in the journal")
		if e.Journal != nil {
			was = lang.Say("the journal has it at %s", e.Journal.Format(time.TimeOnly))
		}
		replayLine(w, lang, e, was)
	}
	for _, e := range r.Unlike {
		replayLine(w, lang, e, lang.Say("in the journal alone"))
	}
	if len(r.Events)+len(r.Unlike) == 0 {
		say(w, lang, "no alarm, and none in the journal")
	}
	if err := w.Flush(); err != nil || len(r.Rules) == 0 {
		return err
	}
	fmt.Fprintln(out)
	fmt.Fprintf(w, "%s\t%s\t%s\n", lang.Say("Rule"), lang.Say("would have raised"), lang.Say("has raised"))
	for _, c := range r.Rules {
		fmt.Fprintf(w, "%s\t%d\t%d\n", c.Rule, c.Would, c.Did)
	}
	return w.Flush()
}

// replayWords are what an alarm did.
var replayWords = map[string]i18n.Text{
	"raised": i18n.T("raised"), "lowered": i18n.T("less urgent"), "cleared": i18n.T("over"),
}

func replayLine(w io.Writer, lang i18n.Lang, e gateway.ReplayEvent, was string) {
	at := e.Time.Format(time.DateTime)
	if e.Rough {
		at = "~" + at
	}
	value := ""
	if e.Value != nil && e.Level != rules.LevelFault {
		value = strings.TrimSpace(strconv.FormatFloat(*e.Value, 'f', -1, 64) + " " + e.Unit)
	}
	fmt.Fprintf(w, "%s\t%s\t%s@%s\t%s\t%s\t%s\n", at, lang.Say(replayWords[e.What].Format), e.Rule, e.Source, strings.TrimSpace(e.Place+" "+e.Name), value, was)
}
