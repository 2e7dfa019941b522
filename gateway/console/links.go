package console

import (
	"slices"
	"strings"

	"embergate/drivers/i18n"
)

// linksView are the ways in and out, and what else must work.
type linksView struct {
	Endpoints, Uplinks, Channels []linkView
	Others                       []linkView // components that have no list of their own
}

func seeLinks(s *Snapshot, l i18n.Lang) (v linksView) {
	listed := []string{}
	for _, e := range s.Endpoints {
		listed = append(listed, "endpoint "+e.ID)
		link := linkView{ID: e.ID, Kind: e.Protocol, Where: e.URL, Since: at(e.Since, s.Time, l)}
		link.working(e.Up, l.Say("connected"), l.Say("not connected"), e.Error)
		if n := len(e.Unclaimed); n > 0 {
			link.Queue = l.Say("%d devices that nobody configured: %s", n, unclaimed(e.Unclaimed))
		}
		v.Endpoints = append(v.Endpoints, link)
	}
	for _, u := range s.Uplinks {
		listed = append(listed, "uplink "+u.ID)
		link := linkView{
			ID: u.ID, Kind: u.Kind, Since: at(u.Since, s.Time, l), Success: at(u.LastSuccess, s.Time, l),
			Queue: l.Say("nothing waits"), Oldest: at(u.QueueOldest, s.Time, l),
		}
		if u.QueueRecords > 0 {
			link.Queue = l.Say("%d records wait", u.QueueRecords)
		}
		if u.Dropped > 0 {
			link.Dropped = l.Say("%d records were given up", u.Dropped)
		}
		if u.Refused > 0 {
			link.Dropped = strings.TrimSpace(link.Dropped + " " + l.Say("%d lines were refused: %s", u.Refused, u.Refusal))
		}
		link.working(u.Working, l.Say("works"), l.Say("does not work"), u.LastError)
		v.Uplinks = append(v.Uplinks, link)
	}
	for _, c := range s.Channels {
		listed = append(listed, "channel "+c.ID)
		link := linkView{ID: c.ID, Kind: c.Kind, Since: at(c.Since, s.Time, l), Success: at(c.LastSuccess, s.Time, l)}
		if c.Pending > 0 {
			link.Queue = l.Say("%d messages wait", c.Pending)
		}
		link.working(c.Working, l.Say("works"), l.Say("does not work"), c.LastError)
		v.Channels = append(v.Channels, link)
	}
	for _, c := range s.Components {
		if slices.Contains(listed, c.Name) {
			continue
		}
		link := linkView{ID: component(c.Name, l), Since: at(c.Since, s.Time, l)}
		link.working(c.Working, l.Say("works"), l.Say("does not work"), l.Say(c.Why.Format, c.Why.Args...))
		v.Others = append(v.Others, link)
	}
	return v
}

// working sets the state of a link; the error is shown only while it does not work.
func (v *linkView) working(works bool, yes, no, why string) {
	v.Look, v.Word = "good", yes
	if !works {
		v.Look, v.Word, v.Error = "bad", no, why
	}
}

// unclaimed names the first of the devices that nobody configured, each with the model that would fit.
func unclaimed(all []Unclaimed) string {
	var names []string
	for _, u := range all[:min(len(all), 10)] {
		name := u.Topic
		if u.Profile != "" {
			name += " (" + u.Profile + ")"
		}
		names = append(names, name)
	}
	if len(all) > len(names) {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
