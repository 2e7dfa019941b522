package monthly

import "embergate/drivers/i18n"

// causeWords are the causes that the console offers; any other is said as it was given.
var causeWords = map[string]i18n.Text{
	"cooking": i18n.T("fumes of cooking"), "steam": i18n.T("steam"), "smoking": i18n.T("somebody smoked"),
	"incense": i18n.T("incense or mosquito coil"), "dust": i18n.T("dust"), "insect": i18n.T("an insect"),
	"works": i18n.T("works in the house"), "mistake": i18n.T("set off by mistake"), "detector": i18n.T("the detector itself"),
	"unknown": i18n.T("nobody knows why"), "": i18n.T("no cause given"),
}

func causeWord(cause string, l i18n.Lang) string {
	if t, ok := causeWords[cause]; ok {
		return l.Say(t.Format)
	}
	return cause
}

// figure is one number of a class.
type figure struct {
	Name string
	N    int
}

func (c ClassCount) figures(l i18n.Lang) []figure {
	return []figure{
		{l.Say("In all"), c.Total}, {l.Say("Real"), c.Real}, {l.Say("False"), c.False}, {l.Say("Drill"), c.Drill},
		{l.Say("Test"), c.Test}, {l.Say("Fault"), c.Fault}, {l.Say("No verdict"), c.None},
	}
}
