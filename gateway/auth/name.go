package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// nameForm is the form of a principal's name, which is that of a producer.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

// taken are the names under which the log has who is no principal: who gave no
// credentials, the gateway itself, whoever works at the registry directly, and a
// rebuild. One of theirs would be given what they did, and the leases that they hold.
var taken = []string{Anonymous.Name, "gateway", "operator", "rebuild"}

// CheckName refuses a name that no principal can have.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%.80q is not a name; want %s", name, nameForm)
	}
	if slices.Contains(taken, name) {
		return fmt.Errorf("%s is not to be had as a name, nor is one of %s", name, strings.Join(taken, ", "))
	}
	return nil
}
