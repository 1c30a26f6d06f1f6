package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// ClaimRule says what who has certain claims may do.
type ClaimRule struct {
	// Claims are patterns by the names of claims, all of which must match: "*"
	// anything, and others as path.Match has it, where * does not go over a '/'.
	Claims map[string]string
	// Principal is the name of who it is; empty is what the issuer's claim says.
	Principal string
	Grants    []Grant
}

// matches reports whether claims are as the rule wants. Of a list one must be.
func (r ClaimRule) matches(claims map[string]json.RawMessage) bool {
	for name, pattern := range r.Claims {
		if !anyMatches(pattern, texts(claims[name])) {
			return false
		}
	}
	return len(r.Claims) > 0
}

func anyMatches(pattern string, values []string) bool {
	for _, v := range values {
		if ok, err := path.Match(pattern, v); pattern == "*" || err == nil && ok {
			return true
		}
	}
	return false
}

// texts are what a claim says: a text, a number or a truth as JSON writes them, or
// each of a list. What has parts says nothing, and what is not there.
func texts(raw json.RawMessage) (all []string) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil
	}
	switch raw[0] {
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return nil
		}
		for _, one := range list {
			if one = bytes.TrimSpace(one); len(one) > 0 && one[0] != '[' {
				all = append(all, texts(one)...)
			}
		}
		return all
	case '{', 'n':
		return nil
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil
		}
		return []string{s}
	}
	return []string{string(raw)}
}

// maxName bounds the name of a principal, which is that of a producer.
const maxName = 128

// principalName makes a principal's name of a text of somebody else's, such as
// "repo:org/app": what may not stand in one is written as "+" and two hexadecimal
// digits, and so is "+", so that different texts are different names.
func principalName(text string) (string, error) {
	var b strings.Builder
	for i, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', i > 0 && strings.IndexByte("._-", c) >= 0:
			b.WriteByte(c)
		case i == 0:
			return "", fmt.Errorf("%.80q is no name: it begins with neither a letter nor a digit", text)
		default:
			fmt.Fprintf(&b, "+%02X", c)
		}
		if b.Len() > maxName {
			return "", fmt.Errorf("%.80q is no name: it is too long", text)
		}
	}
	return b.String(), CheckName(b.String())
}
