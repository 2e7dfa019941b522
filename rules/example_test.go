package rules_test

import (
	"fmt"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"
)

func Example() {
	root := conf.Parse("home.yaml", []byte(`
rules:
  packs: []
  inline:
    - id: kitchen-gas
      class: gas
      level: alarm
      each: kind == "gas_lel"
      when: value >= 25 && online()
      until: value < 10
`), conf.OS())
	detector := drivers.Device{ID: "kitchen-gas", Zone: "kitchen"}
	set := rules.New(root.At("rules"), rules.Model{
		Signals: []rules.Signal{
			{Key: "kitchen-gas.lel", Signal: drivers.Signal{ID: "lel", Kind: "gas_lel"}, Device: detector},
			{Key: "kitchen-gas.online", Signal: drivers.Signal{ID: "online", Kind: "online"}, Device: detector},
		},
		Lang: i18n.English,
	})
	if problems := root.Problems(); problems != nil {
		fmt.Println(problems)
		return
	}

	state, now := set.NewState(), time.Now()
	for _, batch := range [][]drivers.Reading{
		{{Signal: "kitchen-gas.lel", Value: 30, Quality: drivers.Good}, {Signal: "kitchen-gas.online", Value: 1, Quality: drivers.Good}},
		{{Signal: "kitchen-gas.lel", Quality: drivers.Bad, Reason: drivers.Timeout}},
		{{Signal: "kitchen-gas.lel", Value: 4, Quality: drivers.Good}},
	} {
		for _, in := range state.Update(now, batch) {
			r := state.Eval(in, now)
			fmt.Println(in.Key, "raise:", r.When, "clear:", r.Until)
		}
	}
	// Output:
	// kitchen-gas@kitchen-gas.lel raise: true clear: false
	// kitchen-gas@kitchen-gas.lel raise: unknown clear: unknown
	// kitchen-gas@kitchen-gas.lel raise: false clear: true
}
