//go:build unix

package postgres

// Quiet is quiet.
var Quiet = quiet
