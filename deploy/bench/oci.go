package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// registryConfig has the registry of distribution keep its files in its
// directory, with the cache of its own example and without an access log, which
// it would write for each request at length. It syncs what it writes.
const registryConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: data
http:
  addr: 127.0.0.1:0
`

// ociRow is one kind of work on registries.
type ociRow struct {
	name string
	unit string // of the rate and the cost: MiB or what is done
	run  func(*server) (ociTurn, error)
}

// ociTurn is what one registry did in one round, and how long each answer took.
type ociTurn struct {
	turn
	times []time.Duration
}

// runOCI measures the gateway and other registries in turns and prints a table.
func runOCI(o options, registries string) error {
	gateway, dir, remove, err := place(o)
	if err != nil {
		return err
	}
	defer remove()
	touch(o.touch)
	gw, err := startServer("artifactstore", filepath.Join(dir, "gateway"), "/v2/", gateway, "serve")
	if err != nil {
		return err
	}
	defer gw.stop()
	servers := []*server{gw}
	for pair := range strings.SplitSeq(registries, ",") {
		name, program, _ := strings.Cut(pair, "=")
		s, err := startRegistry(name, filepath.Join(dir, name), program)
		if err != nil {
			return err
		}
		defer s.stop()
		servers = append(servers, s)
	}
	return measureOCI(o, servers)
}

func startRegistry(name, dir, program string) (*server, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, []byte(registryConfig), 0o644); err != nil {
		return nil, err
	}
	return startServer(name, dir, "/v2/", program, "serve", config)
}

func measureOCI(o options, servers []*server) error {
	w, err := newOCIWork(o, servers)
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds, medians; each cell: rate, p50 / p99 of an answer, the server's CPU time\n\n| work |", o.rounds)
	for _, s := range servers {
		fmt.Printf(" %s |", s.name)
	}
	fmt.Printf(" rate, CPU against the best other |\n|---|%s---|\n", strings.Repeat("---|", len(servers)))
	for _, r := range w.rows() {
		if o.only != "" && o.only != r.name {
			continue
		}
		turns := map[*server][]ociTurn{}
		for i := range o.rounds {
			for k := range servers {
				s := servers[(i+k)%len(servers)]
				t, err := r.run(s)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", r.name, s.name, err)
				}
				turns[s] = append(turns[s], t)
			}
		}
		printOCI(r, servers, turns)
	}
	fmt.Print("\npeak memory, MiB:")
	for _, s := range servers {
		fmt.Printf(" %s %s;", s.name, s.peak())
	}
	fmt.Println()
	return nil
}

// printOCI prints a row: the first server is compared with the fastest and with
// the thriftiest of the others.
func printOCI(r ociRow, servers []*server, turns map[*server][]ociTurn) {
	fmt.Printf("| %s |", r.name)
	var rates, costs []float64
	for _, s := range servers {
		var times []time.Duration
		var all []turn
		for _, t := range turns[s] {
			all, times = append(all, t.turn), append(times, t.times...)
		}
		slices.Sort(times)
		rate, cost := medianOf(all, turn.rate), medianOf(all, turn.cost)
		rates, costs = append(rates, rate), append(costs, cost)
		format, unit := " %.0f/s; %s / %s ms; %.3f CPU-ms |", 1000.0
		if r.unit == "MiB" {
			format, unit = " %.0f MiB/s; %s / %s ms; %.2f CPU-s/GiB |", 1024
		}
		fmt.Printf(format, rate, milliseconds(times, 50), milliseconds(times, 99), cost*unit)
	}
	fmt.Printf(" ×%.2f, ×%.2f |\n", rates[0]/slices.Max(rates[1:]), costs[0]/slices.Min(costs[1:]))
}

// milliseconds returns a percentile of sorted times.
func milliseconds(times []time.Duration, percent int) string {
	ms := float64(times[(len(times)-1)*percent/100]) / 1e6
	if ms >= 10 {
		return fmt.Sprintf("%.0f", ms)
	}
	return fmt.Sprintf("%.2f", ms)
}
