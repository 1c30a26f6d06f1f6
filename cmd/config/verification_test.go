package config

import (
	"strings"
	"testing"
	"time"
)

func TestWindowText(t *testing.T) {
	for text, want := range map[string]Window{
		"":            {},
		"22:00-06:00": {22 * time.Hour, 6 * time.Hour},
		"00:05-23:59": {5 * time.Minute, 23*time.Hour + 59*time.Minute},
	} {
		var w Window
		if err := w.UnmarshalText([]byte(text)); err != nil || w != want {
			t.Errorf("%q: %v, %v", text, w, err)
		}
		if again, err := w.MarshalText(); err != nil || string(again) != text {
			t.Errorf("%q is shown as %q, %v", text, again, err)
		}
	}
	for _, text := range []string{"22:00", "24:00-06:00", "22:00-22:00", "2:00-06:00", "22:60-06:00", "22:00-06:00 "} {
		if err := new(Window).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestVerificationKeys(t *testing.T) {
	const text = "backends:\n  - id: a\n    type: local\n    root: r\n    verification: {every: 7d, bytes_per_second: 50000000, window: '22:00-06:00'}\n"
	c, err := load("f.yaml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := c.Backends[0].Verification
	if v.Every.Length() != 7*day || v.BytesPerSecond != 50_000_000 || v.Window.From != 22*time.Hour {
		t.Errorf("%+v", v)
	}
	shown, err := c.YAML()
	if err != nil || !strings.Contains(string(shown), "every: 7d") {
		t.Errorf("%s %v", shown, err)
	}
	if again, err := load("again.yaml", string(shown), nil); err != nil || again.Backends[0].Verification != v {
		t.Errorf("%+v, %v", again, err)
	}
	if d := Default(); d.Backends[0].Verification.Every.Length() != 0 {
		t.Error("nobody asked for it")
	}
	for key, want := range map[string]string{
		"every: 5s": "is too often", "every: x": "or never", "bytes_per_second: -1": "is too little", "window: night": "is not a window",
	} {
		_, err := load("f.yaml", "backends: [{id: a, type: local, root: r, verification: {"+key+"}}]", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
