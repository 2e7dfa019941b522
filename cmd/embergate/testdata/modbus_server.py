"""A Modbus TCP server that is not ours (pymodbus 3.0): unit 7 with 100 holding registers and coils, all 0.

usage: modbus_server.py PORT
"""
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartTcpServer

block = lambda: ModbusSequentialDataBlock(1, [0] * 100)
unit = ModbusSlaveContext(di=block(), co=block(), hr=block(), ir=block())
StartTcpServer(context=ModbusServerContext(slaves={7: unit}, single=False), address=("127.0.0.1", int(sys.argv[1])))
