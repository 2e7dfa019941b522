package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

var errStopping = refuse(alarm.ErrState, "the gateway is stopping; try again in a moment")

// Faults of the gateway itself go the way of every alarm: one open fault for each rule and subject.
var (
	ruleFailed      = ownRule("gateway-rule", i18n.T("rule cannot be evaluated"))
	driverFailed    = ownRule("gateway-driver", i18n.T("driver failed and was restarted"))
	outputFailed    = ownRule("gateway-output", i18n.T("output did not do as told"))
	channelFailed   = ownRule("gateway-channel", i18n.T("channel does not deliver"))
	uplinkFailed    = ownRule("gateway-uplink-panic", i18n.T("platform connection failed and was restarted"))
	uplinkLate      = ownRule("gateway-uplink", i18n.T("platform is behind"))
	linesRefused    = ownRule("gateway-refused", i18n.T("platform refuses some of what it is sent"))
	stateDamaged    = ownRule("gateway-store", i18n.T("state on disk was damaged"))
	stateAway       = ownRule("gateway-disk", i18n.T("state directory cannot be used, nothing is remembered"))
	diskFull        = ownRule("gateway-space", i18n.T("disk is full, the oldest telemetry goes"))
	clockWrong      = ownRule("gateway-clock", i18n.T("clock is not right, readings wait for it"))
	clockApart      = ownRule("gateway-channel-clock", i18n.T("clock differs from that of a channel"))
	heartbeatLost   = ownRule("gateway-heartbeat", i18n.T("heartbeat does not arrive"))
	pathsDiffer     = ownRule("gateway-paths", i18n.T("two paths to one detector contradict each other"))
	certificateEnds = ownRule("gateway-certificate", i18n.T("certificate ends soon"))
)

var ownRules = []*rules.Rule{ruleFailed, driverFailed, outputFailed, channelFailed, uplinkFailed, uplinkLate, linesRefused, stateDamaged, stateAway, diskFull, clockWrong, clockApart, heartbeatLost, pathsDiffer, certificateEnds}

// ownRuleOf is the gateway's own rule of an alarm's key; nil where the key is of another, or its subject is no longer in
// the configuration: a person then ends what is left of it.
func (h *hub) ownRuleOf(key string) *rules.Rule {
	id, subject, _ := strings.Cut(key, "@")
	i := slices.IndexFunc(ownRules, func(r *rules.Rule) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	there := true
	switch ownRules[i] {
	case ruleFailed:
		there = h.g.rules.Instance(subject) != nil
	case pathsDiffer:
		there = slices.ContainsFunc(h.paths.at, func(j *joint) bool { return j.members[0].Key == subject })
	case driverFailed:
		there = h.live.links[subject] != nil
	case outputFailed:
		there = h.live.signals[subject] != nil
	case channelFailed, clockApart:
		there = slices.Contains(h.g.channels.IDs(), subject)
	case uplinkLate, linesRefused, uplinkFailed:
		there = slices.ContainsFunc(h.g.uplinks, func(u uplink) bool { return u.id == subject })
	}
	if !there {
		return nil
	}
	return ownRules[i]
}

// lateAfter is the age of the oldest record that waits for a platform from which it is a fault (row SF14).
const lateAfter = 10 * time.Minute

// centreLateAfter is that of a fire centre: a device tells at once where it cannot transmit (GB 26875.1-2011, 4.1.1.4), and
// after so long a connection has had its three tries.
const centreLateAfter = time.Minute

// refusedFor is how long a refused line is a fault: what is wrong with one is wrong with the next.
const refusedFor = time.Hour

// doubtedTooLong is how long the clock may be doubted before it is a fault: a network that is there sets it sooner.
const doubtedTooLong = 5 * time.Minute

// refuse is why something that a person asked for is not done.
func refuse(cause error, format string, args ...any) error {
	return &alarm.Refused{Cause: cause, Text: i18n.T(format, args...)}
}

func ownRule(id string, name i18n.Text) *rules.Rule {
	return &rules.Rule{
		ID: id, Class: "fault", Level: rules.LevelFault,
		Name: drivers.Name{EN: name.String()}, // said in the site's language: fault
	}
}

// fault raises a fault of the gateway itself about a subject, or clears it.
func (h *hub) fault(now time.Time, rule *rules.Rule, subject string, on bool, detail error) {
	key := rule.ID + "@" + subject
	if on == h.faults[key] {
		return
	}
	h.faults[key] = on
	c := alarm.Condition{Key: key, Rule: rule, When: rules.False, Name: h.g.cfg.Site.Language.Say(rule.Name.EN), Device: subject, DeviceName: subject}
	if on {
		c.When = rules.True
		c.Message = subject
		if detail != nil {
			c.Message = fmt.Sprintf("%s: %s", subject, firstLine(detail.Error()))
		}
	}
	h.events = append(h.events, h.board.Step(now, c)...)
}

// postFault has the hub raise a fault, or clear it, at once: for who is beside it.
func (h *hub) postFault(rule *rules.Rule, subject string, on bool, detail error) {
	h.post(func(now time.Time) {
		h.fault(now, rule, subject, on, detail)
		h.commit(now)
	})
}

// supervision turns what uplinks, channels and the store say of themselves into faults.
func (h *hub) supervision(now time.Time) {
	for _, u := range h.g.uplinks {
		oldest := h.backlog(u).Oldest
		most := lateAfter
		if u.kind == "gbt26875" {
			most = centreLateAfter
		}
		late := !oldest.IsZero() && now.Sub(oldest) > most
		var why error
		if late {
			why = errors.New(h.g.cfg.Site.Language.Say("the oldest record waits since %s: %s", oldest.In(h.g.location).Format(time.DateTime), u.Status().LastError))
		}
		h.fault(now, uplinkLate, u.id, late, why)
	}
	for _, u := range h.g.uplinks {
		st := u.Status()
		h.fault(now, linesRefused, u.id, !st.RefusedAt.IsZero() && now.Sub(st.RefusedAt) < refusedFor, errors.New(st.Refusal))
	}
	for _, c := range h.g.channels.Status() {
		h.fault(now, channelFailed, c.ID, !c.Working, errors.New(c.LastError))
		h.fault(now, clockApart, c.ID, c.ClockOff != 0, fmt.Errorf("%s, and messages are signed with the time", c.ClockOff))
	}
	if h.g.certificate != nil {
		why, ends := h.g.certificate.trouble(now, h.g.location)
		h.fault(now, certificateEnds, "console", ends, errors.New(h.g.cfg.Site.Language.Say(why.Format, why.Args...)))
	}
	for _, l := range h.g.links {
		ends := h.g.metrics.notices.certificates(l.id, h.g.location)
		h.fault(now, certificateEnds, l.id, ends != nil, ends)
	}
	damaged := map[string]bool{}
	for i, damage := range h.store.DamageTexts() {
		damaged[fmt.Sprintf("%s@store-%d", stateDamaged.ID, i+1)] = true
		h.fault(now, stateDamaged, fmt.Sprintf("store-%d", i+1), true, errors.New(h.g.cfg.Site.Language.Say(damage.Format, damage.Args...)))
	}
	doubted := h.gate.doubtedFor()
	h.fault(now, clockWrong, "clock", doubted > doubtedTooLong, fmt.Errorf("doubted for %v; now it says %s", doubted.Round(time.Second), now.In(h.g.location).Format(time.DateTime)))
	for _, w := range h.g.watchers {
		works, _, why := w.stand()
		h.fault(now, heartbeatLost, w.id, !works, why)
	}
	full := h.store.Room()
	h.fault(now, diskFull, "store", full != nil, full)
	for key := range h.faults {
		if subject, ok := strings.CutPrefix(key, stateDamaged.ID+"@"); ok && !damaged[key] {
			h.fault(now, stateDamaged, subject, false, nil) // of an earlier start
		}
	}
	h.contradictions(now)
	h.fault(now, stateAway, "store", h.away != nil, h.away)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
