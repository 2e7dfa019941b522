package sim

import (
	"context"
	"time"

	"embergate/drivers/i18n"
)

// Step is one moment of the story: so long after its start, what is told, and what happens.
type Step struct {
	At   time.Duration
	Tell i18n.Text
	Do   func(*Home)
}

// Story is an evening in the home, in two minutes: a pre-alarm, escaping gas, a fire seen by two detectors, an instrument
// that dies, a platform that is lost and comes back. At its end everything is well again.
func Story() []Step {
	set := func(signal string, value float64) func(*Home) { return func(h *Home) { h.Set(signal, value) } }
	answer := func(class, by string) func(*Home) {
		return func(h *Home) {
			if err := h.Answer(class, h.language().Say(by)); err != nil {
				h.log.Warn("nobody answered", "err", err)
			}
		}
	}
	return []Step{
		{2 * time.Second, i18n.T("The home is quiet. Every value on the console comes over a real socket."), func(*Home) {}},
		{8 * time.Second, i18n.T("Kitchen: a burner went out. Gas rises to 14 %%LEL, a pre-alarm."), set("kitchen-gas.lel", 14)},
		{22 * time.Second, i18n.T("Kitchen: nobody came. Gas is at 38 %%LEL, an alarm; the gateway closes the valve by itself."), set("kitchen-gas.lel", 38)},
		{30 * time.Second, i18n.T("Whoever is on duty was told at once, and does not answer. Ten seconds after the alarm the supervisor is told too."), func(*Home) {}},
		{38 * time.Second, i18n.T("The supervisor answers from the phone: nobody is called any more, and the others read who is on it."), answer("gas", "Supervisor Wang")},
		{43 * time.Second, i18n.T("Kitchen: the gas has dispersed."), set("kitchen-gas.lel", 0.4)},
		{48 * time.Second, i18n.T("Corridor on the first floor: one detector sees smoke."), set("smoke-corridor-east.smoke", 1)},
		{56 * time.Second, i18n.T("Corridor on the first floor: a second detector sees smoke. The fire is confirmed, the sounder sounds."), set("smoke-corridor-west.smoke", 1)},
		{62 * time.Second, i18n.T("The supervisor is near, and answers at once."), answer("fire", "Supervisor Wang")},
		{72 * time.Second, i18n.T("The smoke has cleared: a towel on a heater."), func(h *Home) {
			h.Set("smoke-corridor-east.smoke", 0)
			h.Set("smoke-corridor-west.smoke", 0)
		}},
		{76 * time.Second, i18n.T("Pump room: the pressure sensor of the hydrants falls silent. Silence is a fault, never \"all well\"."), func(h *Home) { h.Silence("hydrant", true) }},
		{86 * time.Second, i18n.T("The platform is lost. The gateway keeps what it cannot send."), func(h *Home) { h.SetPlatform(false) }},
		{102 * time.Second, i18n.T("The platform is back, and is sent what it missed."), func(h *Home) { h.SetPlatform(true) }},
		{108 * time.Second, i18n.T("Pump room: the pressure sensor answers again."), func(h *Home) { h.Silence("hydrant", false) }},
		{116 * time.Second, i18n.T("The gas valve is opened again by hand. The home is quiet, and stays so until you stop it."), func(h *Home) { h.Set("kitchen-gas.valve", 0) }},
	}
}

// Tell plays the story once: each step is told and then happens. It returns nil after the last, and the error of ctx where
// that ended before. Run must be running for gas to disperse and detectors to report.
func (h *Home) Tell(ctx context.Context, say func(i18n.Text)) error {
	start := time.Now()
	for _, step := range Story() {
		wait := time.NewTimer(time.Until(start.Add(step.At)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
		say(step.Tell)
		step.Do(h)
	}
	return nil
}
