package main

import (
	"fmt"
	"slices"
)

// median returns the middle of values, the lower one of two.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[(len(s)-1)/2]
}

func medianOf(turns []turn, f func(turn) float64) float64 {
	var all []float64
	for _, t := range turns {
		all = append(all, f(t))
	}
	return median(all)
}

// report prints a row and reports whether all its goals are met.
func report(r row, gws, refs []turn) bool {
	fmt.Printf("%s\n", r.name)
	for _, side := range []struct {
		name  string
		turns []turn
	}{{"gateway", gws}, {"reference", refs}} {
		cost, unit := medianOf(side.turns, turn.cost), "CPU-s/"+r.unit
		if r.unit != "GiB" {
			cost, unit = cost*1000, "CPU-ms/"+r.unit
		}
		fmt.Printf("  %-10s %10.2f %s/s %10.3f %s\n", side.name, medianOf(side.turns, turn.rate), r.unit, cost, unit)
	}
	ok := true
	for _, g := range r.goals {
		var ratios []float64
		for i := range gws {
			ratios = append(ratios, g.ratio(gws[i], refs[i]))
		}
		ratio, sign, verdict := median(ratios), "<=", "met"
		if g.least {
			sign = ">="
		}
		if !g.met(ratio) {
			ok, verdict = false, "MISSED"
		}
		fmt.Printf("  %-22s ratio %.2f  (%.2f to %.2f)  target %s %.2f  %s\n", g.what, ratio, slices.Min(ratios), slices.Max(ratios), sign, g.bound, verdict)
	}
	return ok
}
