package main

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// errEnough ends a client before its time.
var errEnough = errors.New("enough")

const (
	once  = 0              // one request
	whole = 24 * time.Hour // until errEnough
)

// crowdOCI has clients call request over and over for some time.
func (w *ociWork) crowdOCI(s *server, clients int, last time.Duration, request func(c *conn, content []byte) error) (ociTurn, error) {
	times := make([][]time.Duration, clients)
	fails := make([]error, clients)
	t, err := timed(s, func() (float64, error) {
		var wg sync.WaitGroup
		end := time.Now().Add(last)
		for i := range clients {
			wg.Go(func() { times[i], fails[i] = w.client(s, end, request) })
		}
		wg.Wait()
		return float64(len(slices.Concat(times...))), errors.Join(fails...)
	})
	return ociTurn{t, slices.Concat(times...)}, err
}

// client makes at least one request, and more until the time has come.
func (w *ociWork) client(s *server, end time.Time, request func(*conn, []byte) error) ([]time.Duration, error) {
	c, err := dial(s.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	content := append([]byte(nil), w.random[:small]...)
	var times []time.Duration
	for {
		start := time.Now()
		err := request(c, content)
		if err == errEnough {
			return times, nil
		}
		if err != nil {
			return times, err
		}
		times = append(times, time.Since(start))
		if !time.Now().Before(end) {
			return times, nil
		}
	}
}

// largeTurn has one client make a few transfers of the large blob. Only what
// transfer says is counted as time.
func (w *ociWork) largeTurn(s *server, transfer func(*conn) (time.Duration, error)) (ociTurn, error) {
	var o ociTurn
	c, err := dial(s.address)
	if err != nil {
		return o, err
	}
	defer c.Close()
	t, err := timed(s, func() (float64, error) {
		for range largeRun {
			d, err := transfer(c)
			if err != nil {
				return 0, err
			}
			o.times = append(o.times, d)
		}
		return largeRun * float64(w.size) / (1 << 20), nil
	})
	t.wall = 0
	for _, d := range o.times {
		t.wall += d
	}
	o.turn = t
	return o, err
}
