#!/usr/bin/env python3
"""Prints the configuration for a load rig: PORTS UNITS REGS DATA [KIND].

PORTS Modbus TCP servers from 127.0.0.1:15020 on with UNITS units of REGS registers each, float32 big-endian; an InfluxDB and a
webhook at 127.0.0.1:18086. KIND is the kind of all values: number has one rule each, temperature four.
"""
import sys
P, U, R = map(int, sys.argv[1:4])
kind = sys.argv[5] if len(sys.argv) > 5 else "number"
print(f"""site: {{id: bench, name: bench, language: en}}
data: {sys.argv[4]}
console: {{listen: 127.0.0.1:18088}}
endpoints:""")
for p in range(P):
    print(f"- id: p{p}\n  modbus: {{url: \"tcp://127.0.0.1:{15020+p}\"}}\n  devices:")
    for u in range(1, U + 1):
        print(f"  - id: m-{p}-{u}\n    unit: {u}\n    every: 1s\n    signals:")
        for i in range(R // 2):
            print(f"    - {{id: f{i}, kind: {kind}, at: \"holding:{2*i}\", type: float32, order: ABCD}}")
print("""rules:
  packs: [fire, gas, electrical, water, comms]
  inline:
    - {id: hot, name: hot, class: fire, level: alarm, signal: m-0-1.f0, when: value > 57.0, message: hot}
channels:
  - {id: hook, webhook: {url: "http://127.0.0.1:18086/hook"}}
uplinks:
  - id: platform
    influxdb: {url: "http://127.0.0.1:18086", org: o, bucket: b, token: t}""")
