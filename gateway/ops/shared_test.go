package ops

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// However many ask at once, the work is done once; who leaves does not end it for
// the others; who comes later has it done anew.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		calls := 0
		gate := make(chan struct{})
		work := func(ctx context.Context) int {
			calls++
			<-gate
			if ctx.Err() != nil {
				t.Error("one who left ended the work of the others")
			}
			return calls
		}
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.do(first, work); !errors.Is(err, context.Canceled) {
				t.Errorf("who left has %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if n, err := s.do(t.Context(), work); n != 1 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if n, err := s.do(t.Context(), work); n != 2 || err != nil {
			t.Errorf("later: %d, %v", n, err)
		}
	})
}
