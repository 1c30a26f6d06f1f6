package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// pushFiles is how many files of 4 KiB are pushed in a round.
const pushFiles = 10_000

// measurePush sets `artifactstore push` of many small files, as a user runs it,
// beside raw puts of as many bytes to the same gateway. The reference of this row is
// therefore the gateway itself: what a push costs besides is the package, the walk
// and the hashes of the client, on the same machine. A young store gets faster while
// its folders are made, so the puts have their turn before and after each push.
func measurePush(o options, program string, gw *server) (ok bool, err error) {
	w := &workload{o: o, random: make([]byte, small)}
	copy(w.random, "push")
	r := row{name: "push of 10,000 files of 4 KiB (reference: 4 KiB puts, 32 clients)", unit: "put", goals: []goal{rateAtLeast(0.7)}}
	var pushes, puts []turn
	for i := range o.rounds {
		dir := filepath.Join(filepath.Dir(gw.cmd.Dir), fmt.Sprintf("push-%d", i))
		if err := w.files(dir); err != nil {
			return false, err
		}
		before, err := w.smallPuts(gw)
		if err != nil {
			return false, err
		}
		push, err := w.push(program, gw, dir, i)
		if err != nil {
			return false, err
		}
		after, err := w.smallPuts(gw)
		if err != nil {
			return false, err
		}
		pushes, puts = append(pushes, push), append(puts, turn{before.work + after.work, before.wall + after.wall, before.cpu + after.cpu})
	}
	return report(r, pushes, puts), nil
}

// files fills a directory, a hundred folders of a hundred files, and has the disk
// take them before anything is measured.
func (w *workload) files(dir string) error {
	content := append([]byte(nil), w.random[:small]...)
	for i := range pushFiles {
		folder := filepath.Join(dir, fmt.Sprintf("%02d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file-%02d", i%100)), w.unique(content), 0o644); err != nil {
			return err
		}
	}
	syscall.Sync()
	return nil
}

func (w *workload) push(program string, gw *server, dir string, round int) (turn, error) {
	t, err := timed(gw, func() (float64, error) {
		push := exec.Command(program, "push", dir, "--package", fmt.Sprintf("bench/push/%d", round), "--server", "http://"+gw.address)
		out, err := push.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "10,000 files (39 MiB) sent") {
			return 0, fmt.Errorf("push: %v: %s", err, out)
		}
		return pushFiles, nil
	})
	return t, err
}

// pushOnly is what -only names this row.
const pushOnly = "push"
