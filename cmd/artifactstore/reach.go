package main

import (
	"errors"
	"fmt"
	"syscall"

	"artifactstore/gateway/client"
)

func newClient(f *flags) *client.Client { return &client.Client{Server: f.server} }

// unreached says what to do where no gateway listens.
func unreached(f *flags, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: no gateway listens at %s: start one with \"artifactstore serve\", or name another with --server", err, f.server)
	}
	return err
}
