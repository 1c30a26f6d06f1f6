package s3

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artifactstore/backends"
)

var states = []state{
	{nonce: strings.Repeat("0a", 16), token: strings.Repeat("1b", 16), hint: backends.Hint{Size: -1}},
	{nonce: strings.Repeat("ff", 16), token: strings.Repeat("2c", 16), hint: backends.Hint{Key: "sha256/ab/cd", Size: 1 << 40}, tail: 4711},
	{nonce: strings.Repeat("00", 16), token: strings.Repeat("3d", 16), hint: backends.Hint{Size: 0}, uploadID: "2~abc", parts: 3, partsBytes: 15 << 20, fingerprint: [32]byte{1, 2, 3}, tail: 7},
	{nonce: strings.Repeat("12", 16), token: strings.Repeat("4e", 16), hint: backends.Hint{Size: -1}, uploadID: strings.Repeat("u", uploadIDMost), parts: partsMost, partsBytes: sizeMost, tail: sizeMost},
}

func TestStateRoundTrip(t *testing.T) {
	for _, want := range states {
		got, err := parseState(want.encode())
		if err != nil || got != want {
			t.Errorf("got %+v, error %v; want %+v", got, err, want)
		}
	}
}

func TestStateRefused(t *testing.T) {
	good := states[2].encode()
	bad := map[string][]byte{
		"empty":            {},
		"other version":    append([]byte{1}, good[1:]...),
		"cut":              good[:len(good)-1],
		"more":             append(bytes.Clone(good), 0),
		"key":              state{nonce: states[0].nonce, hint: backends.Hint{Key: "../x", Size: -1}}.encode(),
		"staging key":      state{nonce: states[0].nonce, hint: backends.Hint{Key: ".staging/x", Size: -1}}.encode(),
		"parts of none":    state{nonce: states[0].nonce, hint: backends.Hint{Size: -1}, parts: 1}.encode(),
		"many parts":       state{nonce: states[0].nonce, hint: backends.Hint{Size: -1}, uploadID: "u", parts: partsMost + 1}.encode(),
		"long upload id":   state{nonce: states[0].nonce, hint: backends.Hint{Size: -1}, uploadID: strings.Repeat("u", uploadIDMost+1)}.encode(),
		"long form":        append(append(bytes.Clone(good[:33]), 0x80, 0), good[34:]...),
		"size of eternity": state{nonce: states[0].nonce, hint: backends.Hint{Size: sizeMost}}.encode(),
	}
	for name, text := range bad {
		if got, err := parseState(text); !errors.Is(err, backends.ErrUploadUnknown) {
			t.Errorf("%s: got %+v, error %v; want ErrUploadUnknown", name, got, err)
		}
	}
}

// FuzzState wants each accepted state to be the one spelling of itself.
func FuzzState(f *testing.F) {
	for _, s := range states {
		f.Add(s.encode())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			if !errors.Is(err, backends.ErrUploadUnknown) {
				t.Fatalf("error %v is not ErrUploadUnknown", err)
			}
			return
		}
		if !bytes.Equal(s.encode(), text) {
			t.Fatalf("%x is read as %+v, which is written %x", text, s, s.encode())
		}
		if s.hint.Key != "" && backends.CheckKey(s.hint.Key) != nil || s.parts < 0 || s.parts > partsMost || s.tail < 0 || len(s.nonce) != 32 {
			t.Fatalf("%+v was accepted", s)
		}
	})
}

// TestGoldenStates keeps the states of this version readable: sessions outlive
// an upgrade of the gateway.
func TestGoldenStates(t *testing.T) {
	for i, name := range []string{"empty", "tail", "parts"} {
		file := filepath.Join("testdata", "state-"+name)
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseState(golden); err != nil || got != states[i] {
			t.Errorf("%s: got %+v, error %v; want %+v", file, got, err, states[i])
		}
	}
}
