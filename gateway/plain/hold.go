package plain

import (
	"net/http"
	"time"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
)

// hold puts a package under a hold, or ends one. A request that is made again finds
// what it wanted and changes nothing.
func (f *Face) hold(w http.ResponseWriter, r *http.Request, p packagePath) error {
	if r.Method != http.MethodPut && r.Method != http.MethodDelete {
		return methodNotAllowed(r, "PUT, DELETE")
	}
	if _, err := parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	who := auth.From(r.Context()).Name
	if r.Method == http.MethodDelete {
		if err := f.Store.ReleasePackage(r.Context(), p.key, p.hold, who); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	created, err := f.Store.HoldPackage(r.Context(), p.key, p.hold, who)
	if err != nil {
		return err
	}
	holds, err := f.Store.Holds(r.Context(), p.key)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	w.Header().Set("Location", p.escape())
	return answerJSON(w, status, struct {
		Holds []holdBody `json:"holds"`
	}{showHolds(holds)})
}

// holdBody shows a hold.
type holdBody struct {
	Name    string    `json:"name"`
	Package string    `json:"package"` // which was put under it: this one, or one that covers it
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

func showHolds(holds []cas.Hold) []holdBody {
	all := []holdBody{}
	for _, h := range holds {
		all = append(all, holdBody{h.Name, h.Root.String(), h.By, h.At})
	}
	return all
}
