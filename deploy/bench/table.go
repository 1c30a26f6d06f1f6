package main

import (
	"fmt"
	"slices"
)

// table prints what was measured beside what was wanted, a line when it is known.
type table struct {
	rounds int
	missed bool
}

func newTable(o options) *table {
	fmt.Printf("%d rounds, medians; large blob %d MiB, parts of %d MiB, %d at once\n\n", o.rounds, o.size>>20, partBytes>>20, partsAtOnce)
	fmt.Println("| work | measured | reference | ratio (least to most) | target | |")
	fmt.Println("|---|---|---|---|---|---|")
	return &table{rounds: o.rounds}
}

// compare runs both sides in each round, the order changing, and prints the row.
func (t *table) compare(name, unit string, bound float64, side, reference func() (turn, error)) error {
	turns, err := t.turns(name, side, reference)
	if err != nil {
		return err
	}
	t.row(name, unit, bound, turns[0], turns[1])
	return nil
}

// turns lets each side have its turn in each round, the order changing.
func (t *table) turns(name string, sides ...func() (turn, error)) ([][]turn, error) {
	turns := make([][]turn, len(sides))
	for i := range t.rounds {
		for k := range sides {
			k = (k + i) % len(sides)
			one, err := sides[k]()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			turns[k] = append(turns[k], one)
		}
	}
	return turns, nil
}

// row prints a comparison of rates with its target.
func (t *table) row(name, unit string, bound float64, side, reference []turn) {
	ratio, cells := compared(name, unit, side, reference)
	t.print(append(cells, fmt.Sprintf(">= %.2f", bound), t.verdict(ratio >= bound))...)
}

// plain prints a comparison of rates that no target depends on.
func (t *table) plain(name, unit string, side, reference []turn) {
	_, cells := compared(name, unit, side, reference)
	t.print(append(cells, "", "")...)
}

// compared returns the median of the rounds' ratios and the cells of a row up to it.
func compared(name, unit string, side, reference []turn) (ratio float64, cells []string) {
	var ratios []float64
	for i := range side {
		ratios = append(ratios, side[i].rate()/reference[i].rate())
	}
	ratio = median(ratios)
	return ratio, []string{name, rateAndCost(unit, side), rateAndCost(unit, reference),
		fmt.Sprintf("%.2f (%.2f to %.2f)", ratio, slices.Min(ratios), slices.Max(ratios))}
}

func rateAndCost(unit string, turns []turn) string {
	cost := medianOf(turns, turn.cost)
	if unit == "GiB" {
		return fmt.Sprintf("%.0f MiB/s, %.2f CPU-s/GiB", 1024*medianOf(turns, turn.rate), cost)
	}
	return fmt.Sprintf("%.0f %s/s, %.3f CPU-ms", medianOf(turns, turn.rate), unit, cost*1000)
}

// beside prints a rate and one that was measured elsewhere, which no target
// depends on.
func (t *table) beside(name string, rate, before float64) {
	t.print(name, fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("%.0f/s when chosen", before), fmt.Sprintf("%.2f", rate/before), "", "")
}

// fact prints something that was counted.
func (t *table) fact(name, seen, want string, ok bool) {
	t.print(name, seen, "", "", want, t.verdict(ok))
}

func (t *table) verdict(ok bool) string {
	if ok {
		return "met"
	}
	t.missed = true
	return "**MISSED**"
}

func (t *table) print(cells ...string) {
	fmt.Print("|")
	for _, c := range cells {
		fmt.Printf(" %s |", c)
	}
	fmt.Println()
}
