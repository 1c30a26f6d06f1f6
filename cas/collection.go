package cas

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Collection says when what nothing needs any more may go. Each delay has its
// reason, and a zero one is the default.
type Collection struct {
	// Grace is how long a blob must have been idle before it is removed, so that a push
	// that has found it, or is about to send it, need not send it again. It is longer
	// than a client may be silent. The default is an hour; less than nothing is none.
	Grace time.Duration
	// OrphanAge is how old an object must be that nothing has recorded. It is longer than
	// an upload may rest: what is on its way is never that old. The default is two days.
	OrphanAge time.Duration
	// RemovalWait is how long after it was sent a delete that was not answered may still
	// take effect. A delete is given a fifth of it to be answered. The default is five minutes.
	RemovalWait time.Duration
	// Batch is how many blobs or packages go in one step; 0 is 256.
	Batch int
}

// withDefaults fills in what is not said.
func (c Collection) withDefaults() Collection {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Grace, time.Hour)
	set(&c.OrphanAge, 48*time.Hour)
	c.Grace = max(c.Grace, 0)
	set(&c.RemovalWait, 5*time.Minute)
	if c.Batch == 0 {
		c.Batch = 256
	}
	return c
}

// check refuses delays that do not fit the time for which uploads are kept.
func (c Collection) check(uploadGrace time.Duration) error {
	if c.RemovalWait < 0 || c.Batch < 0 {
		return fmt.Errorf("collection: negative: %+v", c)
	}
	if c.OrphanAge <= uploadGrace {
		return fmt.Errorf("collection: orphan age %s is not longer than the upload grace %s", c.OrphanAge, uploadGrace)
	}
	return nil
}

// graceSeconds is the grace as events say it, rounded up.
func (c Collection) graceSeconds() int64 {
	return int64((c.Grace + time.Second - 1) / time.Second)
}

// grace is what graceSeconds says.
func (c Collection) grace() time.Duration { return time.Duration(c.graceSeconds()) * time.Second }

// Collection returns the delays that hold.
func (s *Store) Collection() Collection { return s.collection }

// counts are what this process has done in the background since it began.
type counts struct{ blobs, bytes, orphans, expired, failed atomic.Int64 }

// Counts are what this process has collected and expired since it began.
type Counts struct {
	Blobs, Bytes  int64 // collected
	Orphans       int64 // objects without a row that were removed
	Packages      int64 // expired
	FailedDeletes int64
}

// Counts returns what this process has done so far.
func (s *Store) Counts() Counts {
	c := &s.counts
	return Counts{c.blobs.Load(), c.bytes.Load(), c.orphans.Load(), c.expired.Load(), c.failed.Load()}
}
