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
	return json.Marshal(struct {
		Blob       digest.Digest `json:"blob"`
		BackendID  string        `json:"backend_id"`
		Reason     Reason        `json:"reason"`
		RecordedAt string        `json:"recorded_at,omitempty"`
	}{d.Blob, d.BackendID, d.Reason, orNone(d.RecordedAt)})
}

// MarshalJSON returns the finding with its time in the form of [Record.MarshalJSON].
func (d LocationVerified) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Blob       digest.Digest `json:"blob"`
		BackendID  string        `json:"backend_id"`
		RecordedAt string        `json:"recorded_at"`
	}{d.Blob, d.BackendID, orNone(d.RecordedAt)})
}

// MarshalJSON returns the collection with its times in the form of
// [Record.MarshalJSON].
func (d BlobCollected) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Blob         digest.Digest `json:"blob"`
		Size         int64         `json:"size"`
		LeasedUntil  string        `json:"leased_until,omitempty"`
		IdleSince    string        `json:"idle_since"`
		GraceSeconds int64         `json:"grace_seconds"`
	}{d.Blob, d.Size, orNone(d.LeasedUntil), orNone(d.IdleSince), d.GraceSeconds})
}

// MarshalJSON returns the token with its end in the form of [Record.MarshalJSON].
func (d TokenCreated) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        string        `json:"id"`
		Principal string        `json:"principal"`
		SHA256    digest.Digest `json:"token_sha256"`
		Grants    []string      `json:"grants"`
		ExpiresAt string        `json:"expires_at,omitempty"`
	}{d.ID, d.Principal, d.SHA256, d.Grants, orNone(d.ExpiresAt)})
}

// orNone returns a time as text, "" for the zero time.
func orNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(jsonTime)
}

func until(t time.Time) *string {
	if t.Equal(Forever) {
		return nil
	}
	s := t.Format(jsonTime)
	return &s
}
