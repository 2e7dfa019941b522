package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// keys are what a test presses: code, the number that a browser knows it by, and what it types.
var keys = map[string]struct {
	code int
	text string
}{"Tab": {9, ""}, "Enter": {13, "\r"}, "Escape": {27, ""}}

// press presses a key, with shift where its name begins so.
func (b *tab) press(names ...string) {
	b.t.Helper()
	for _, name := range names {
		key, shifted := strings.CutPrefix(name, "Shift+")
		event := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": keys[key].code, "text": keys[key].text}
		if keys[key].text == "" {
			event["type"] = "rawKeyDown"
		}
		if shifted {
			event["modifiers"] = 8
		}
		b.call("Input.dispatchKeyEvent", event, nil)
		event["type"] = "keyUp"
		b.call("Input.dispatchKeyEvent", event, nil)
	}
}

// write types a text.
func (b *tab) write(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// focus is what has the focus, as somebody sees it who has no mouse.
type focus struct {
	What    string  // tag, id and words
	Order   int     // place in the document; -1: nothing has the focus
	Nav     bool    // in the navigation, which a phone shows below
	Outline bool    // it can be seen that it has the focus
	Over    string  // what hides it
	X, Y    float64 // left edge and lower edge, in the page
}

const focusOf = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return {order: -1};
	const seen = e.classList.contains('unseen') ? e.closest('label') : e; // a label stands for a button that a browser draws
	const s = getComputedStyle(seen), r = seen.getClientRects()[0], mid = [(r.left + r.right) / 2, (r.top + r.bottom) / 2];
	const top = document.elementFromPoint(...mid);
	return {
		what: e.localName + '#' + e.id + ' ' + (e.innerText || e.name || '').slice(0, 30), order: [...document.querySelectorAll('*')].indexOf(e), nav: Boolean(e.closest('#nav')),
		outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2, over: top && (seen.contains(top) || top.contains(seen)) ? '' : top ? top.outerHTML.slice(0, 80) : 'out of sight',
		x: r.left, y: r.bottom + scrollY};
})()`

func (b *tab) focus() (f focus) {
	b.t.Helper()
	b.value(focusOf, &f)
	return f
}

// TestBrowserIsWalkedThroughByKeyboard (UI02): Tab visits everything that can be used, in the order of the page, and whoever has no
// mouse always sees where they are.
func TestBrowserIsWalkedThroughByKeyboard(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := home{i18n.English, time.Now().In(noon.Location())}.evening()
	s.Devices[1].Signals[3].Output = &Output{}
	c := newCanned(s)
	server := browse(t, b, c, i18n.English)
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	for _, path := range []string{"/", "/alarms/00000007", "/devices/kitchen-gas", "/new-device?endpoint=bus-1", "/drills"} {
		for _, width := range []int{1280, 375} {
			b.screen(width, 800, "light")
			b.open(server.URL + path)
			what := fmt.Sprint(path, " ", width)
			var usable int
			b.value(`[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter((e) => !e.disabled && e.checkVisibility({visibilityProperty: true})).length`, &usable)
			var last focus
			first, walked := 0, 0
			for ; walked <= usable; walked++ {
				b.press("Tab")
				f := b.focus()
				if f.Order < 0 || f.Order == first {
					break // round
				}
				switch {
				case walked == 0 && !strings.HasPrefix(f.What, "a# Skip to"):
					t.Errorf("%s begins at %s", what, f.What)
				case f.Order <= last.Order:
					t.Errorf("%s goes back from %s to %s", what, last.What, f.What)
				case width == 1280 && walked > 1 && f.Y < last.Y-40 && f.X <= last.X:
					t.Errorf("%s goes up from %s to %s", what, last.What, f.What)
				}
				if !f.Outline || f.Over != "" {
					t.Errorf("%s: who is at %s does not see it: %+v", what, f.What, f)
				}
				if last = f; walked == 0 {
					first = f.Order
				}
			}
			if walked != usable {
				t.Errorf("%s: Tab comes to %d of %d", what, walked, usable)
			}
		}
	}
}

// TestBrowserAcknowledgesByKeyboard (UI02, UI07): from the top of the page to an alarm that is taken, with no mouse. The dialog holds the
// focus while it is open, Escape closes it, and the focus is back where it was.
func TestBrowserAcknowledgesByKeyboard(t *testing.T) {
	t.Parallel()
	b := browser(t)
	now := home{i18n.English, time.Now()}
	c := newCanned(now.evening())
	browse(t, b, c, i18n.English)
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	b.screen(1280, 800, "light")
	b.press("Tab", "Enter")
	b.until(`document.activeElement.id === 'live'`)
	if f := b.focus(); !f.Outline {
		t.Error("who skips to the state of the home does not see where that is")
	}
	for range 20 {
		b.press("Tab")
		if strings.HasPrefix(b.focus().What, "button#ack-00000007") {
			break
		}
	}
	b.press("Enter")
	b.until(`document.getElementById('act').open && document.activeElement.id === 'act-by'`)
	if axeSource() != "" {
		for _, found := range b.axe() {
			t.Errorf("dialog: %s", found)
		}
	}
	for _, key := range []string{"Tab", "Shift+Tab"} {
		been := map[string]bool{}
		for range 8 {
			b.press(key)
			f := b.focus()
			been[f.What] = true
			if f.Order >= 0 && (!strings.Contains(f.What, "#act-") || !f.Outline || f.Over != "") {
				t.Errorf("%s in the dialog leads to %+v", key, f)
			}
		}
		if len(been) < 4 {
			t.Errorf("%s in the dialog comes only to %v", key, been)
		}
	}
	b.press("Escape")
	b.until(`!document.getElementById('act').open && document.activeElement.id === 'ack-00000007'`)
	b.press("Enter")
	b.until(`document.activeElement.id === 'act-by'`)
	b.write("张三")
	b.press("Enter")
	b.until(`!document.getElementById('act').open`)
	if did := c.acts(); !slices.Equal(did, []string{"ack 00000007 by 张三 via console: "}) {
		t.Errorf("done %q", did)
	}
	taken := now.evening()
	taken.Alarms[1].State, taken.Alarms[1].AcknowledgedBy = alarm.Acknowledged, "张三"
	c.set(taken)
	b.until(`!document.getElementById('ack-00000007')`)
	b.until(`document.activeElement.matches('#alarm-00000007 a')`) // the button is gone, and the focus is where it was
}

// TestBrowserOpensTheNavigationOfAPhoneByKeyboard (UI02): the focus goes in with it, and Escape brings it out.
func TestBrowserOpensTheNavigationOfAPhoneByKeyboard(t *testing.T) {
	t.Parallel()
	b := browser(t)
	browse(t, b, newCanned(home{i18n.English, time.Now()}.well()), i18n.English)
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	b.value(`document.getElementById('more').focus()`, nil)
	b.press("Enter")
	b.until(`document.activeElement.matches('#nav .rest a') && document.getElementById('more').ariaExpanded === 'true'`)
	b.press("Escape")
	b.until(`document.activeElement.id === 'more' && document.getElementById('more').ariaExpanded === 'false'`)
}

// TestBrowserKeepsStillForWhoAsksForIt (UI02): nothing moves for people whom movement makes ill.
func TestBrowserKeepsStillForWhoAsksForIt(t *testing.T) {
	t.Parallel()
	b := browser(t)
	browse(t, b, newCanned(home{i18n.English, time.Now()}.evening()), i18n.English)
	const moves = `[...document.querySelectorAll('*')].some((e) => { const s = getComputedStyle(e);
		return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none' || s.scrollBehavior === 'smooth'; })`
	var is bool
	if b.value(moves, &is); is {
		t.Error("something moves")
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-reduced-motion", "value": "no-preference"}}}, nil)
	b.until(moves) // for others
}
