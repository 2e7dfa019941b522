package main

import (
	"embergate/drivers"
	"embergate/drivers/modbus"
	"embergate/drivers/mqtt"
	"embergate/drivers/printer"
)

// protocols is the table of drivers: the key of an endpoint in the configuration, and what makes its protocol.
var protocols = map[string]func() drivers.Protocol{
	"modbus": modbus.New,
	"mqtt":   mqtt.New,

	"printer": printer.New,
}
