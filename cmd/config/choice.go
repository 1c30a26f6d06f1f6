package config

import "fmt"

// BackendType is the kind of a backend.
type BackendType string

// Local keeps bytes in a directory of this machine.
const Local BackendType = "local"

// AuthMode is the way in which the gateway learns who is asking.
type AuthMode string

// None lets everybody do everything.
const None AuthMode = "none"

// choice is a value that decides which keys stand beside it. Where this version
// does not support the value, the keys that it does not know there are not
// mistakes of their own.
type choice interface {
	supported() error
}

func (t BackendType) supported() error {
	switch t {
	case Local:
		return nil
	case "":
		return fmt.Errorf("is missing; want %s", Local)
	}
	return fmt.Errorf("%s is not supported by this version; want %s", quote(string(t)), Local)
}

func (m AuthMode) supported() error {
	if m == None || m == "" {
		return nil
	}
	return fmt.Errorf("%s is not supported by this version; want %s", quote(string(m)), None)
}
