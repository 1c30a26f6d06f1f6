package cas_test

import (
	"errors"
	"fmt"
	"testing"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
)

// Each call that a put makes, of whatever it drives, fails or is the last thing
// its process does, before its effect and after it. Then the whole state is
// looked at, and the client tries again. Behind real servers a house is asked
// only for what its own part is in: a plain put, and effects whose answer is lost.
func TestEachStepOfPut(t *testing.T) { inHouses(t, shapes.Ends(), eachStepOfPut) }

func eachStepOfPut(t *testing.T, at shapes.House) {
	hows, far := []how{fails, failsAfter, dies, diesAfter}, at.Name != shapes.All()[0].Name
	if far {
		hows = []how{failsAfter, diesAfter}
	}
	for name, put := range map[string]struct {
		size      int
		announced bool
		unseen    bool
		prepare   func(h *house, content []byte)
	}{
		"short":                {size: 4096},
		"long":                 {size: 3*buffer + 5},
		"long, announced":      {size: 3*buffer + 5, announced: true},
		"short, known":         {size: 4096, prepare: known},
		"long, known":          {size: 3*buffer + 5, prepare: known},
		"announced and known":  {size: 3*buffer + 5, announced: true, prepare: known},
		"short, unseen":        {size: 4096, unseen: true, prepare: known},
		"long, unseen":         {size: 3*buffer + 5, announced: true, unseen: true, prepare: known},
		"short heals":          {size: 4096, prepare: damaged},
		"long heals":           {size: 3*buffer + 5, prepare: damaged},
		"long announced heals": {size: 3*buffer + 5, announced: true, prepare: damaged},
	} {
		if far && put.prepare != nil {
			continue
		}
		change := func([]byte) func(*cas.PutOptions) { return func(*cas.PutOptions) {} }
		if put.announced {
			change = announced
		}
		content := random(42, put.size)
		run := func(t *testing.T, s *seam) (*house, error) {
			p := newPlace(t, at)
			if put.prepare != nil {
				put.prepare(openIn(t, p, options{}), content)
			}
			h := openIn(t, p, options{seam: s})
			changes := []func(*cas.PutOptions){change(content)}
			if put.unseen {
				changes = append(changes, unseen)
			}
			_, err := h.put(content, changes...)
			return h, err
		}
		healthy := noFault()
		if _, err := run(t, healthy); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		steps := healthy.made()
		if len(steps) < 2 {
			t.Fatalf("%s: steps %v", name, steps)
		}
		for i, step := range steps {
			for _, how := range hows {
				t.Run(fmt.Sprintf("%s/%d %s %s", name, i, step, how), func(t *testing.T) {
					t.Parallel()
					h, err := run(t, &seam{at: i, how: how})
					acknowledged := err == nil
					switch {
					case acknowledged:
						if step != "abort" {
							t.Error("the put is acknowledged")
						}
					case !errors.Is(err, errFault):
						t.Errorf("the cause is lost: %v", err)
					case !errors.Is(err, cas.ErrBackendUnavailable) && !errors.Is(err, cas.ErrRegistryUnavailable):
						t.Errorf("the client cannot know to try again: %v", err)
					}
					if n := h.store.BufferedBytes(); n != 0 {
						t.Errorf("%d bytes of buffers are not given back", n)
					}
					if how == fails && step != "abort" && h.files("a") > 1 {
						t.Errorf("staging is left: %d files", h.files("a"))
					}
					h.reg.Close()
					h = openIn(t, h.place, options{})
					h.audit()
					if acknowledged {
						h.mustRead(content)
					} else if _, err := h.read(identity(content).SHA256); err != nil && !errors.Is(err, cas.ErrBlobUnknown) && !errors.Is(err, cas.ErrBlobUnavailable) {
						t.Errorf("read after the fault: %v", err)
					}
					h.mustPut(content, change(content))
					h.mustRead(content)
					if n := h.files("a"); n != 1 {
						t.Errorf("%d files after all", n)
					}
					h.audit()
				})
			}
		}
	}
}

// known has the content stored already.
func known(h *house, content []byte) { h.mustPut(content); h.reg.Close() }

// damaged has it stored, lost, and known to be lost.
func damaged(h *house, content []byte) {
	h.lose("a", content)
	h.reg.Close()
}
