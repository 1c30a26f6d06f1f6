package registry

import (
	"encoding/json"
	"time"

	"artifactstore/cas/digest"
)

// jsonTime is RFC 3339 in UTC with six digits of fraction, always.
const jsonTime = "2006-01-02T15:04:05.000000Z07:00"

// MarshalJSON returns the record as the events feed shows it: position, time
// (RFC 3339 with microseconds), type, actor, subject, data.
func (r Record) MarshalJSON() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Position uint64 `json:"position"`
		Time     string `json:"time"`
		Type     string `json:"type"`
		Actor    string `json:"actor"`
		Subject  string `json:"subject"`
		Data     Data   `json:"data"`
	}{r.Position, r.Time.Format(jsonTime), r.Data.Type(), r.Actor, r.Data.Subject(), r.Data})
}

// MarshalJSON returns the lease with its end in the form of [Record.MarshalJSON],
// or null for one without end.
func (d BlobLeased) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Blob           digest.Digest `json:"blob"`
		Repository     string        `json:"repository,omitempty"`
		Producer       string        `json:"producer"`
		RetentionClass string        `json:"retention_class"`
		Until          *string       `json:"until"`
	}{d.Blob, d.Repository, d.Producer, d.RetentionClass, until(d.Until)})
}

// MarshalJSON returns the failure with its time in the form of [Record.MarshalJSON].
func (d LocationFailed) MarshalJSON() ([]byte, error) {
	recorded := ""
	if !d.RecordedAt.IsZero() {
		recorded = d.RecordedAt.Format(jsonTime)
	}
	return json.Marshal(struct {
		Blob       digest.Digest `json:"blob"`
		BackendID  string        `json:"backend_id"`
		Reason     Reason        `json:"reason"`
		RecordedAt string        `json:"recorded_at,omitempty"`
	}{d.Blob, d.BackendID, d.Reason, recorded})
}

func until(t time.Time) *string {
	if t.Equal(Forever) {
		return nil
	}
	s := t.Format(jsonTime)
	return &s
}
