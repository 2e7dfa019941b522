package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/store"
)

// alertmanagerSettings are a Prometheus Alertmanager.
type alertmanagerSettings struct {
	URL      string      `yaml:"url"`
	Username string      `yaml:"username"`
	Password conf.Secret `yaml:"password"`
}

func (c *alertmanagerSettings) check(s conf.Section) { needURL(s, "url", c.URL) }

// alertmanager keeps an alert for each alarm, with labels that stay as they are from raised to cleared.
//
//	POST url/api/v2/alerts
//	200 without a body, or 400 with a JSON string
type alertmanager struct {
	*wire
	url    string
	header http.Header
	lang   i18n.Lang
}

const (
	// untilCleared is how long an alert stands by itself: the end of an alarm is always told, if late, so that an alert
	// that ended by itself would be wrong.
	untilCleared = 30 * 24 * time.Hour
	announcement = 5 * time.Minute // how long an alert stands that is no alarm
	alertSummary = 1000            // bytes
	alertText    = 10000           // bytes
)

func newAlertmanager(c alertmanagerSettings, o Options) Channel {
	header := http.Header{"Content-Type": {"application/json"}}
	pair := base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password.Reveal()))
	if c.Username != "" {
		header.Set("Authorization", "Basic "+pair)
	}
	return &alertmanager{wire: newWire("alertmanager", c.URL, asking, c.Password.Reveal(), pair),
		url: strings.TrimRight(c.URL, "/") + "/api/v2/alerts", header: header, lang: o.Lang}
}

// alert is one of the API's (openapi.yaml of Alertmanager 0.25, postableAlert).
type alert struct {
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
}

// Send posts the alert of the message.
func (am *alertmanager) Send(ctx context.Context, m Message) (receipt string, err error) {
	a, err := am.post(ctx, am.url, compact([]alert{am.alert(m)}), am.header)
	if err != nil {
		return "", err
	}
	if err := am.byStatus(a); err != nil {
		return "", err
	}
	if text := strings.TrimSpace(string(a.body)); text != "" && !json.Valid(a.body) {
		return "", fmt.Errorf("%s: %d from something else: %s", am.name, a.status, am.words(text))
	}
	return "", nil
}

func (am *alertmanager) preview(m Message) string {
	return titled(say(m, am.lang), alertSummary, alertText)
}

// alert is a message as an alert: of an alarm until its condition is over, of anything else for a while.
func (am *alertmanager) alert(m Message) alert {
	said := say(m, am.lang)
	labels := map[string]string{"alertname": m.Event, "source": "embergate", "site": m.Site.ID, "region": m.Site.Region}
	annotations := map[string]string{"summary": said.title(alertSummary), "description": said.body(alertText), "event": m.ID}
	made := alert{StartsAt: m.Time, EndsAt: am.now().Add(announcement), GeneratorURL: m.Link, Labels: labels, Annotations: annotations}
	if a := m.Alarm; a != nil {
		for name, value := range map[string]string{"alertname": a.Rule, "alarm": a.ID, "class": string(a.Class), "severity": string(a.Level), "zone": a.Zone,
			"device": a.Device, "signal": a.Signal} {
			labels[name] = value
		}
		annotations["name"], annotations["place"], annotations["message"] = a.Name, said.place, a.Message
		annotations["acknowledged_by"] = a.AcknowledgedBy
		made.StartsAt, made.EndsAt = a.RaisedAt, am.now().Add(untilCleared)
		if end, over := ended(m); over {
			made.EndsAt = end
			if end.Before(made.StartsAt) { // the clock was set back in between
				made.StartsAt = end
			}
		}
	}
	if m.Drill {
		labels["drill"] = "true"
	}
	for _, set := range []map[string]string{labels, annotations} {
		for name, value := range set {
			if set[name] = join("\n", strings.Split(value, "\n")...); set[name] == "" {
				delete(set, name) // as Alertmanager has it
			}
		}
	}
	return made
}

// ended is when the condition of an alarm was over, as far as the message knows.
func ended(m Message) (time.Time, bool) {
	a := m.Alarm
	switch {
	case a.ClearedAt != nil && !a.Active():
		return *a.ClearedAt, true
	case a.ClosedAt != nil:
		return *a.ClosedAt, true
	case !a.Active(), store.Ends(m.Event):
		return m.Time, true
	default:
		return time.Time{}, false
	}
}
