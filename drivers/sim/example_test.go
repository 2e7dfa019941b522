package sim_test

import (
	"fmt"

	"embergate/drivers/sim"
)

func Example() {
	home, err := sim.Start(sim.Options{Meters: 25})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer home.Close()
	home.Set("kitchen-gas.lel", 30) // %LEL; the detector's high alarm is at 25
	home.Silence("smoke-201", true) // its bridge says offline
	status, _ := home.Value("kitchen-gas.status")
	fmt.Printf("buses %d, status of the gas detector %03b\n", len(home.Buses()), int(status))
	// Output: buses 4, status of the gas detector 110
}
