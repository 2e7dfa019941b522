"""A Modbus server of pymodbus 3.0 for the tests: server.py tcp|rtu+tcp PORT, or server.py rtu PATH.

Unit 1 has holding registers 0 to 99 that hold 1000 plus their address, input registers 0 to 9 that hold the
float32 230.5 in CDAB again and again, coils 0 to 15 off, and discrete inputs 0 to 15 of which the odd ones are on.
Unit 2 has holding registers 0 to 9 that hold 2000 plus their address. Everything else is exception 2.
Every unit says that it is a Gasworks GW-7.
"""
import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.server import StartAsyncSerialServer, StartAsyncTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer


def block(values):
    return ModbusSequentialDataBlock(0, values)


none = [0]
units = {
    1: ModbusSlaveContext(
        hr=block([1000 + a for a in range(100)]),
        ir=block([0x8000, 0x4366] * 5),
        co=block([0] * 16),
        di=block([a % 2 for a in range(16)]),
        zero_mode=True,
    ),
    2: ModbusSlaveContext(hr=block([2000 + a for a in range(10)]), ir=block(none), co=block(none), di=block(none), zero_mode=True),
}
context = ModbusServerContext(slaves=units, single=False)
identity = ModbusDeviceIdentification(info_name={"VendorName": "Gasworks", "ProductCode": "GW-7", "MajorMinorRevision": "1.04", "ProductName": "Kitchen gas"})
mode, place = sys.argv[1:]
if mode == "rtu":
    server = StartAsyncSerialServer(context, identity=identity, framer=ModbusRtuFramer, port=place, baudrate=19200, timeout=0.005, ignore_missing_slaves=True)
else:
    framer = ModbusSocketFramer if mode == "tcp" else ModbusRtuFramer
    server = StartAsyncTcpServer(context, identity=identity, framer=framer, address=("127.0.0.1", int(place)), allow_reuse_address=True, ignore_missing_slaves=True)
asyncio.run(server)
