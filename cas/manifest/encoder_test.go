package manifest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// encode is a second encoder of the core deterministic encoding, written from
// RFC 8949 §4.2.1: shortest heads, members in the byte order of their encoded
// keys.
func encode(v any) []byte {
	switch v := v.(type) {
	case uint64:
		return head(0, v)
	case []byte:
		return append(head(2, uint64(len(v))), v...)
	case string:
		return append(head(3, uint64(len(v))), v...)
	case []any:
		b := head(4, uint64(len(v)))
		for _, e := range v {
			b = append(b, encode(e)...)
		}
		return b
	case map[any]any:
		var members [][]byte
		for k, e := range v {
			members = append(members, append(encode(k), encode(e)...))
		}
		slices.SortFunc(members, bytes.Compare)
		return append(head(5, uint64(len(v))), bytes.Join(members, nil)...)
	}
	panic(fmt.Sprintf("%T", v))
}

func head(major byte, n uint64) []byte {
	b := []byte{major << 5}
	switch {
	case n < 24:
		b[0] |= byte(n)
		return b
	case n < 1<<8:
		b[0] |= 24
		return append(b, byte(n))
	case n < 1<<16:
		b[0] |= 25
		return binary.BigEndian.AppendUint16(b, uint16(n))
	case n < 1<<32:
		b[0] |= 26
		return binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b[0] |= 27
	return binary.BigEndian.AppendUint64(b, n)
}
