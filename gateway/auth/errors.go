package auth

import (
	"errors"
	"fmt"
	"time"
)

// Refused means that a principal may not do something.
type Refused struct {
	Verb     Verb
	Resource Resource // Everything also where there was none that it may
	// Unauthenticated says that nobody said who they are: with credentials the
	// answer may be another (401, not 403).
	Unauthenticated bool
	// Scoped says that a signed token did not carry it, and that another may.
	Scoped bool
}

// Error names what would be needed, which says nothing of what there is.
func (r *Refused) Error() string {
	if r.Verb == "" {
		return "this needs credentials"
	}
	if r.Resource == Everything {
		return fmt.Sprintf("this needs %q", r.Verb)
	}
	return fmt.Sprintf("this needs %q", string(r.Verb)+":"+string(r.Resource))
}

// ErrCredentials means that the credentials of a request are not, or no longer, good.
// It does not say why: who has good ones need not know, and others must not.
var ErrCredentials = errors.New("the credentials are not valid")

// Slowed means that too many attempts failed: the next is not looked at before a time
// has passed.
type Slowed struct{ For time.Duration }

// Error says for how long.
func (s *Slowed) Error() string {
	return fmt.Sprintf("too many failed attempts: try again in %s", s.For.Round(time.Second))
}

// ErrUnavailable means that who would know whether credentials are good does not
// answer.
var ErrUnavailable = errors.New("it cannot be told now whether the credentials are valid")

// ErrTooMuch means that a token for all that was asked for would be too long.
var ErrTooMuch = errors.New("a token for all these scopes would be too long; ask for less")

// unlessBad is nil for credentials that are not good, and else the error.
func unlessBad(err error) error {
	if errors.Is(err, ErrCredentials) {
		return nil
	}
	return err
}
