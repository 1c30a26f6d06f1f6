package local

import (
	"fmt"
	"strconv"
	"strings"

	"artifactstore/backends"
)

// state is what Suspend hands out: "local1 ID OFFSET TOKEN". ID names the staging
// file, OFFSET is in bytes, TOKEN is drawn for each Suspend, so that no other
// point at the same offset can be taken for this one.
type state struct {
	id    string
	off   int64
	token string
}

const stateVersion = "local1"

func (s state) String() string {
	return fmt.Sprintf("%s %s %d %s", stateVersion, s.id, s.off, s.token)
}

// parseState accepts exactly what String writes.
func parseState(text []byte) (state, error) {
	malformed := fmt.Errorf("%w: malformed state", backends.ErrUploadUnknown)
	if len(text) > 128 {
		return state{}, malformed
	}
	f := strings.Split(string(text), " ")
	if len(f) != 4 || f[0] != stateVersion || !isName(f[1]) || !isName(f[3]) {
		return state{}, malformed
	}
	off, err := strconv.ParseInt(f[2], 10, 64)
	s := state{f[1], off, f[3]}
	if err != nil || off < 0 || s.String() != string(text) {
		return state{}, malformed
	}
	return s, nil
}

// nameLen is the length of what rand.Text draws: 130 bits in base 32. It names
// uploads, claims and points.
const nameLen = 26

// isName reports whether s can have been drawn by rand.Text. So no state can
// lead out of the staging folder.
func isName(s string) bool {
	return len(s) == nameLen && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
