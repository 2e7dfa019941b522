package alarm_test

import (
	"fmt"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

func ExampleBoard() {
	smoke := &rules.Rule{ID: "smoke", Class: "fire", Level: rules.LevelAlarm, For: 2 * time.Second, Latch: true}
	found := alarm.Condition{Key: "smoke@smoke-201.smoke", Rule: smoke, When: rules.True, Name: "Smoke"}
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

	b := alarm.NewBoard()
	b.Step(now, found)
	now = b.Next() // the on-delay ends
	for _, e := range b.Tick(now) {
		fmt.Println(e.Type, e.Alarm.Name, e.Alarm.State)
	}
	events, err := b.Acknowledge(now, b.Open()[0].ID, alarm.Act{By: "zhang", Via: "console"})
	fmt.Println(events[0].Type, events[0].Alarm.State, err)
	// The store keeps the events and b.Changed() in one transaction, before anybody is told.

	// Output:
	// alarm.raised Smoke unacknowledged
	// alarm.acknowledged acknowledged <nil>
}
