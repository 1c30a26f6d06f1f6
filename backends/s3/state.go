package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"artifactstore/backends"
)

// stateVersion is the first byte of a suspended upload's state. The rest is
//
//	nonce        16 bytes
//	token        16 bytes, drawn for each state; names its tail object
//	key          the hint's, empty if unknown      uvarint length, bytes
//	size         the hint's plus one, 0 if unknown uvarint
//	upload id    empty while there are no parts    uvarint length, bytes
//	parts        how many                          uvarint
//	parts bytes  in all of them                    uvarint
//	fingerprint  SHA-256 over their sizes and ETags, 32 bytes; only with an upload id
//	tail bytes   kept in the tail object           uvarint
//
// and nothing after it. The parts themselves are the service's to list: so a
// state stays as small for 10,000 parts as for one, and a part that another
// attempt has replaced is noticed.
const stateVersion = 2

const (
	uploadIDMost = 2048
	sizeMost     = 1 << 50
)

// state is what is needed to go on with an upload.
type state struct {
	nonce       string
	token       string
	hint        backends.Hint
	uploadID    string
	parts       int
	partsBytes  int64
	fingerprint [sha256.Size]byte
	tail        int64
}

// hasTail reports whether there is a tail object. Where there are no parts it is
// there even if it is empty, as the sign that the upload has not ended.
func (s state) hasTail() bool { return s.uploadID == "" || s.tail > 0 }

func (s state) encode() []byte {
	out := []byte{stateVersion}
	for _, id := range []string{s.nonce, s.token} {
		raw, _ := hex.DecodeString(id)
		out = append(out, raw...)
	}
	out = appendString(out, s.hint.Key)
	out = binary.AppendUvarint(out, uint64(s.hint.Size+1))
	out = appendString(out, s.uploadID)
	out = binary.AppendUvarint(out, uint64(s.parts))
	out = binary.AppendUvarint(out, uint64(s.partsBytes))
	if s.uploadID != "" {
		out = append(out, s.fingerprint[:]...)
	}
	return binary.AppendUvarint(out, uint64(s.tail))
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// parseState reads a state; what encode would not write is ErrUploadUnknown.
func parseState(text []byte) (state, error) {
	in := stateReader{rest: text}
	if version := in.take(1); in.bad || version[0] != stateVersion {
		return state{}, fmt.Errorf("%w: not a state of this kind of backend", backends.ErrUploadUnknown)
	}
	s := state{nonce: hex.EncodeToString(in.take(16)), token: hex.EncodeToString(in.take(16))}
	s.hint.Key = in.string(512)
	s.hint.Size = in.number(sizeMost) - 1
	s.uploadID = in.string(uploadIDMost)
	s.parts = int(in.number(partsMost))
	s.partsBytes = in.number(sizeMost)
	if s.uploadID != "" {
		copy(s.fingerprint[:], in.take(sha256.Size))
	}
	s.tail = in.number(sizeMost)
	if in.bad || !s.sound() || !bytes.Equal(s.encode(), text) {
		return state{}, fmt.Errorf("%w: malformed state", backends.ErrUploadUnknown)
	}
	return s, nil
}

func (s state) sound() bool {
	if s.hint.Key != "" && backends.CheckKey(s.hint.Key) != nil {
		return false
	}
	return s.uploadID != "" || s.parts == 0 && s.partsBytes == 0
}

// stateReader takes a state apart; after a mistake it is bad and yields zeros.
type stateReader struct {
	rest []byte
	bad  bool
}

func (r *stateReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, n)
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *stateReader) number(most uint64) int64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 || v > most {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return int64(v)
}

func (r *stateReader) string(most uint64) string { return string(r.take(int(r.number(most)))) }
