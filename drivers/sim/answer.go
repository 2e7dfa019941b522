package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"embergate/drivers/i18n"
)

// answerWithin is how long an answer may take.
const answerWithin = 5 * time.Second

// Answer is what somebody does who got messages: they acknowledge the alarms of a class that are on the phone, at the
// console that the configuration names.
func (h *Home) Answer(class, by string) error {
	asked := map[string]bool{}
	for _, m := range h.Messages() {
		if m.Alarm == nil || m.Alarm.Class != class {
			continue
		}
		switch m.Event {
		case "alarm.raised", "alarm.reminder", "alarm.escalated":
			asked[m.Alarm.ID] = true
		default: // somebody was faster, or it is over
			delete(asked, m.Alarm.ID)
		}
	}
	if len(asked) == 0 {
		return fmt.Errorf("answer alarms of class %s: none on the phone waits for it", class)
	}
	var errs []error
	for _, alarm := range slices.Sorted(maps.Keys(asked)) {
		errs = append(errs, h.acknowledge(alarm, by))
	}
	return errors.Join(errs...)
}

func (h *Home) acknowledge(alarm, by string) error {
	h.mu.Lock()
	console := h.console
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	body, err := json.Marshal(map[string]string{"by": by})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+console+"/api/v1/alarms/"+url.PathEscape(alarm)+"/ack", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("answer alarm %s: %w", alarm, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("answer alarm %s: %w", alarm, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answer alarm %s: %s", alarm, response.Status)
	}
	return nil
}

// language is that of the names in the configuration.
func (h *Home) language() i18n.Lang {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lang
}
