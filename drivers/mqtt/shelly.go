package mqtt

import (
	"strings"

	"github.com/tidwall/gjson"
)

// unwrapShelly reads what a Shelly of the second generation or later says, in one shape whichever way it comes, so that a
// signal's json is component:N.key, such as smoke:0.alarm. A notification tells what changed and no more.
//
//	events/rpc         {"method":"NotifyStatus","params":{"ts":…,"smoke:0":{"alarm":true}}}
//	status/smoke:0     {"id":0,"alarm":true}
//
// Source: shelly-api-docs.shelly.cloud gen2, Notifications and Mqtt.
func unwrapShelly(_ *wrapping, p *publication, below string) ([]sample, error) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil, err
	}
	if component, ok := strings.CutPrefix(below, "status/"); ok {
		return []sample{{text: string(appendKey(nil, component)) + text + "}"}}, nil
	}
	switch gjson.Get(text, "method").Str {
	case "NotifyStatus", "NotifyFullStatus":
		params := gjson.Get(text, "params")
		if !params.IsObject() {
			return nil, errNoParams
		}
		return []sample{{text: params.Raw, time: readTime(params.Get("ts"), nil)}}, nil
	}
	return nil, nil // NotifyEvent: a button was pressed, an update is there
}
