#!/bin/sh
# Retention and down-sampling of the platform, for InfluxDB 3 Core and Enterprise:   INFLUXDB3_AUTH_TOKEN=… ./influxdb-3.sh
#
# The gateways write to bucket: sites (gateway/README.md). Raw values and events stay a year, minutes three years, hours for
# good: lel_avg, lel_min, lel_max and lel_last_value of every field of the classes, with all their tags, in the databases
# sites_minutes and sites_hours. What arrives up to a day late is counted in.
#
# InfluxDB 3 has no tasks of its own: the triggers run the vendor's plugin "downsampler", so the server must have been started
# with --plugin-dir and fetches it once from the network. Run this once; a database that is there stays as it is, and Core
# cannot change its retention any more. A trigger whose class no home has yet says in the log that there is nothing to do.
set -eu

database() { influxdb3 create database "$@" || echo "not made: $*" >&2; }
database --retention-period 52w sites
database --retention-period 156w sites_minutes
database sites_hours

# At whole minutes, and hours: a part of one would take the place of the whole.
for class in fire gas electrical water environment device; do
	for calculation in avg min max last_value; do
		influxdb3 create trigger --database sites --plugin-filename gh:influxdata/downsampler/downsampler.py \
			--trigger-spec "cron:30 */10 * * * *" \
			--trigger-arguments "source_measurement=$class,target_measurement=$class,target_database=sites_minutes,interval=1min,window=1d,offset=30s,calculations=$calculation" \
			"minutes_${class}_$calculation"
		influxdb3 create trigger --database sites --plugin-filename gh:influxdata/downsampler/downsampler.py \
			--trigger-spec "cron:0 1 * * * *" \
			--trigger-arguments "source_measurement=$class,target_measurement=$class,target_database=sites_hours,interval=1h,window=2d,offset=1min,calculations=$calculation" \
			"hours_${class}_$calculation"
	done
done
