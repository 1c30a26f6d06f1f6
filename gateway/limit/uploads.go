package limit

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// uploadRetry is when to try again an upload that was one too many: those under way
// end soon or take long, and neither is known.
const uploadRetry = 5 * time.Second

// Uploads counts requests that send something. Nil, and one without a bound, counts
// nothing.
type Uploads struct {
	Most int // of one principal at once; 0 for any number

	mu  sync.Mutex
	now map[string]int
}

// Begin counts a request until done is called, or refuses it with [*Exceeded]. A
// request that sends nothing is none.
func (u *Uploads) Begin(ctx context.Context, r *http.Request) (done func(), err error) {
	if u == nil || u.Most == 0 || !sends(r) {
		return func() {}, nil
	}
	who := Who(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now[who] >= u.Most {
		return func() {}, &Exceeded{What: "uploads", Most: u.Most, Retry: uploadRetry}
	}
	if u.now == nil {
		u.now = map[string]int{}
	}
	u.now[who]++
	return func() { u.end(who) }, nil
}

func (u *Uploads) end(who string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now[who]--; u.now[who] == 0 {
		delete(u.now, who)
	}
}

func sends(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodPatch:
		return r.ContentLength != 0
	}
	return false
}
