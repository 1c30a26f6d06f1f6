//go:build !linux

package sqlite

// mapOpened maps nothing: every look-up asks SQLite.
func mapOpened(string) []byte { return nil }

func unmap([]byte) {}
