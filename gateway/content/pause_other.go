//go:build !linux

package content

import "time"

func pause(d time.Duration) { time.Sleep(d) }
