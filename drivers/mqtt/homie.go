package mqtt

import "strings"

// unwrapHomie reads one property of a Homie device: plain text, in which a boolean is exactly true or false. A signal's path
// is node/property. A text under $alert/NAME raises that alert, and an empty one clears it: a signal with that path is 1 or 0.
// Source: homieiot convention 5, payloads and alerts; 3 and 4 differ in the topic alone.
func unwrapHomie(_ *wrapping, p *publication, below string) ([]sample, error) {
	text := trim(p.payload)
	switch {
	case strings.HasPrefix(below, "$alert/") && text == "":
		text = "false"
	case strings.HasPrefix(below, "$alert/"):
		text = "true"
	case text == "":
		return nil, nil
	}
	return []sample{{below: below, text: text, exact: true}}, nil
}
