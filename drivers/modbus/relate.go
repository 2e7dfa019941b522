package modbus

import (
	"fmt"
	"math"
	"slices"

	"embergate/drivers"
)

// relation is what another signal of the device says about a point.
type relation struct {
	other int // index of the point
	role  role
	in    []float64 // for allows
}

// role is how a relation works on a value.
type role uint8

const (
	multiplies role = iota // by the other's value, a ratio
	shifts                 // the decimal point by the other's value
	allows                 // the value while the other has one of some values
)

// mostDecimals is how far a decimal point may be shifted; what devices say beyond it is a mistake.
const mostDecimals = 9

// linkPoints finds the points that others depend on; drivers.DecodeSignals has reported those that are not there.
func linkPoints(points []point) {
	index := func(id string) int { return slices.IndexFunc(points, func(p point) bool { return p.ID == id }) }
	for i := range points {
		p := &points[i]
		add := func(id string, r role, in []float64) {
			if at := index(id); at >= 0 {
				p.relations = append(p.relations, relation{at, r, in})
			}
		}
		for _, c := range p.ValidIf { // first, so that a reading says why the device has none
			add(c.Signal, allows, c.In)
		}
		for _, id := range p.ScaleBy {
			add(id, multiplies, nil)
		}
		if p.DecimalsBy != "" {
			add(p.DecimalsBy, shifts, nil)
		}
	}
}

// relate finishes the readings of one poll, one for each point: those that depend on others are scaled by them, or made Bad.
func relate(points []point, readings []drivers.Reading) {
	for i := range points {
		p, r := &points[i], &readings[i]
		if len(p.relations) == 0 || r.Quality == drivers.Bad {
			continue
		}
		for _, rel := range p.relations {
			rel.apply(r, points[rel.other].ID, readings[rel.other])
		}
		if r.Quality == drivers.Bad {
			continue
		}
		if reason, detail := p.implausible(r.Value); reason != "" {
			refuse(r, reason, detail)
		}
	}
}

func (rel relation) apply(r *drivers.Reading, id string, other drivers.Reading) {
	switch {
	case r.Quality == drivers.Bad:
	case other.Quality == drivers.Bad:
		refuse(r, other.Reason, id+": "+other.Detail)
	case rel.role == allows && !slices.Contains(rel.in, other.Value):
		refuse(r, drivers.DeviceFault, fmt.Sprintf("no value while %s is %v", id, other.Value))
	case rel.role == multiplies && other.Value == 0: // a ratio that nobody has set is no reason to read nothing everywhere
		refuse(r, drivers.Decode, id+" is 0")
	case rel.role == multiplies:
		r.Value *= other.Value
	case rel.role == shifts && (other.Value != math.Trunc(other.Value) || math.Abs(other.Value) > mostDecimals):
		refuse(r, drivers.Decode, fmt.Sprintf("%s is %v", id, other.Value))
	case rel.role == shifts && other.Value > 0:
		r.Value /= math.Pow10(int(other.Value)) // 285 with 3 is 0.285, which 285 × 0.001 is not
	case rel.role == shifts:
		r.Value *= math.Pow10(-int(other.Value))
	}
}

// refuse takes a reading's value away.
func refuse(r *drivers.Reading, reason drivers.Reason, detail string) {
	r.Value, r.Quality, r.Reason, r.Detail = 0, drivers.Bad, reason, detail
}
