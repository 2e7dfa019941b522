package modbus

import (
	"errors"
	"fmt"

	"embergate/drivers"

	"github.com/goburrow/modbus"
)

// fault is why a request gave no registers.
type fault struct {
	reason drivers.Reason
	detail string
	code   byte // the exception code; 0 where it was none
}

// silent tells that nothing came back, so the unit may be dead: it is then probed with back-off. A gateway's exceptions 0A and 0B
// say the same of the unit behind it.
func (f fault) silent() bool {
	return f.reason == drivers.Timeout || f.reason == drivers.Offline
}

// again tells that the same request may succeed at once: the frame was lost or damaged.
func (f fault) again() bool {
	return f.reason == drivers.Timeout || f.reason == drivers.CRC || f.reason == drivers.Decode ||
		f.code == modbus.ExceptionCodeGatewayTargetDeviceFailedToRespond
}

// busy tells that the unit asks for patience.
func (f fault) busy() bool {
	return f.code == modbus.ExceptionCodeAcknowledge || f.code == modbus.ExceptionCodeServerDeviceBusy
}

// refused tells that the unit does not have what was asked: the configuration is wrong, and asking again soon is no use.
func (f fault) refused() bool {
	return f.code >= modbus.ExceptionCodeIllegalFunction && f.code <= modbus.ExceptionCodeIllegalDataValue
}

// divisible tells that a smaller request may be answered: an address in it is missing, or it asks for too many.
func (f fault) divisible() bool {
	return f.code == modbus.ExceptionCodeIllegalDataAddress || f.code == modbus.ExceptionCodeIllegalDataValue
}

// frameError is a frame that is not the reply to the request.
type frameError struct {
	reason drivers.Reason // CRC or Decode
	detail string
	broken bool // the stream is out of step: the connection must be made anew
}

func (e *frameError) Error() string { return e.detail }

func framef(reason drivers.Reason, format string, args ...any) *frameError {
	return &frameError{reason: reason, detail: fmt.Sprintf(format, args...)}
}

// What a request ends with besides a frameError, an exception and the end of its context.
var (
	errSilent = errors.New("no answer")
	errLost   = errors.New("connection lost")
)

// explain sorts the error of a request. what names the request in the detail.
func explain(err error, what string) fault {
	var exception *modbus.ModbusError
	var frame *frameError
	switch {
	case errors.As(err, &exception):
		return explainException(exception.ExceptionCode, what)
	case errors.As(err, &frame):
		return fault{reason: frame.reason, detail: what + ": " + frame.detail}
	case errors.Is(err, errSilent):
		return fault{reason: drivers.Timeout, detail: what + ": " + err.Error()}
	case errors.Is(err, errLost):
		return fault{reason: drivers.Offline, detail: what + ": " + err.Error()}
	}
	return fault{reason: drivers.Decode, detail: what + ": " + err.Error()} // goburrow found what ours did not
}

// explainException gives an exception its meaning. Source: MODBUS Application Protocol V1.1b3, 7.
func explainException(code byte, what string) fault {
	f := fault{reason: drivers.Exception, code: code}
	meaning := "unknown exception"
	switch code {
	case modbus.ExceptionCodeIllegalFunction:
		meaning = "illegal function"
	case modbus.ExceptionCodeIllegalDataAddress:
		meaning = "illegal data address"
	case modbus.ExceptionCodeIllegalDataValue:
		meaning = "illegal data value"
	case modbus.ExceptionCodeServerDeviceFailure:
		f.reason, meaning = drivers.DeviceFault, "server device failure"
	case modbus.ExceptionCodeAcknowledge:
		meaning = "acknowledge, still working"
	case modbus.ExceptionCodeServerDeviceBusy:
		meaning = "server device busy"
	case modbus.ExceptionCodeMemoryParityError:
		f.reason, meaning = drivers.DeviceFault, "memory parity error"
	case modbus.ExceptionCodeGatewayPathUnavailable:
		f.reason, meaning = drivers.Offline, "gateway path unavailable"
	case modbus.ExceptionCodeGatewayTargetDeviceFailedToRespond:
		f.reason, meaning = drivers.Offline, "gateway target device failed to respond"
	}
	f.detail = fmt.Sprintf("%s: exception %d: %s", what, code, meaning)
	return f
}
