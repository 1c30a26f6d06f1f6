package config

import "fmt"

// BackendType is the kind of a backend.
type BackendType string

// The types of a backend.
const (
	Local BackendType = "local" // keeps bytes in a directory of this machine
	S3    BackendType = "s3"    // keeps bytes in a bucket of an S3-compatible service
)

// Encryption is what a service is asked to encrypt objects with, where they
// rest; empty leaves it to the service.
type Encryption string

// The ways of encryption at rest.
const (
	AES256 Encryption = "AES256"  // keys of the service
	KMS    Encryption = "aws:kms" // a key of the service's key manager
)

// choice is a value that decides which keys stand beside it. Where this version
// does not support the value, the keys that it does not know there are not
// mistakes of their own.
type choice interface {
	supported() error
}

func (t BackendType) supported() error {
	switch t {
	case Local, S3:
		return nil
	case "":
		return fmt.Errorf("is missing; want %s or %s", Local, S3)
	}
	return fmt.Errorf("%s is not supported by this version; want %s or %s", quote(string(t)), Local, S3)
}

func (e Encryption) check() error {
	switch e {
	case "", AES256, KMS:
		return nil
	}
	return fmt.Errorf("%s is not supported; want %s or %s", quote(string(e)), AES256, KMS)
}
