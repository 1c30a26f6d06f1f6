package registry

import (
	"bytes"
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// record is what a record is encoded from; the package comment has the format.
type record struct {
	Position uint64          `cbor:"position"`
	Time     time.Time       `cbor:"time"`
	Type     string          `cbor:"type"`
	Actor    string          `cbor:"actor"`
	Subject  string          `cbor:"subject"`
	Data     cbor.RawMessage `cbor:"data"`
}

// kinds are the event types: a new one is its struct and a line here.
var kinds = map[string]func(data []byte) (Data, error){
	TypeBlobStored:       decodeAs[BlobStored],
	TypeBlobLeased:       decodeAs[BlobLeased],
	TypeBlobReleased:     decodeAs[BlobReleased],
	TypeLocationRecorded: decodeAs[LocationRecorded],
	TypeLocationFailed:   decodeAs[LocationFailed],
	TypeLocationRepaired: decodeAs[LocationRepaired],
	TypeLocationVerified: decodeAs[LocationVerified],
	TypeLocationRemoving: decodeAs[LocationRemoving],
	TypeLocationRemoved:  decodeAs[LocationRemoved],
	TypeBlobCollected:    decodeAs[BlobCollected],

	TypePackageCreated:     decodeAs[PackageCreated],
	TypePackageFileAdded:   decodeAs[PackageFileAdded],
	TypePackageFileRemoved: decodeAs[PackageFileRemoved],
	TypePackageSealed:      decodeAs[PackageSealed],
	TypePackageRenewed:     decodeAs[PackageRenewed],
	TypePackageHeld:        decodeAs[PackageHeld],
	TypePackageReleased:    decodeAs[PackageReleased],
	TypePackageExpired:     decodeAs[PackageExpired],
	TypePackageDeleted:     decodeAs[PackageDeleted],

	TypeTagSet:     decodeAs[TagSet],
	TypeTagRemoved: decodeAs[TagRemoved],

	TypeTokenCreated: decodeAs[TokenCreated],
	TypeTokenRevoked: decodeAs[TokenRevoked],
}

func decodeAs[T Data](data []byte) (Data, error) {
	var d T
	err := decoding.Unmarshal(data, &d)
	return d, err
}

var encoding, decoding = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	enc := cbor.CoreDetEncOptions()
	enc.Time, enc.TimeTag = cbor.TimeRFC3339Nano, cbor.EncTagRequired
	enc.TextMarshaler = cbor.TextMarshalerTextString
	encoding, err := enc.EncMode()
	if err != nil {
		panic(err)
	}
	decoding, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TimeTag:           cbor.DecTagRequired,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
		MaxNestedLevels:   8,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return encoding, decoding
}

// Encode returns the canonical CBOR of a record. A record that does not pass
// the checks of [Validate], or has no position or a time that is not whole
// microseconds UTC, is ErrRecord.
func Encode(r Record) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	data, err := encoding.Marshal(r.Data)
	if err != nil {
		return nil, err
	}
	return encoding.Marshal(record{
		Position: r.Position, Time: r.Time, Type: r.Data.Type(),
		Actor: r.Actor, Subject: r.Data.Subject(), Data: data,
	})
}

// Decode reads the canonical CBOR of one record and nothing else. Everything
// that Encode does not write is ErrRecord: members that are unknown, missing or
// double, trailing bytes, other forms of the same value, an unknown type, a
// subject that is not the data's.
func Decode(b []byte) (Record, error) {
	var w record
	if err := decoding.Unmarshal(b, &w); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	d, err := DecodeData(w.Type, w.Data)
	if err != nil {
		return Record{}, err
	}
	r := Record{Position: w.Position, Time: w.Time.UTC(), Event: Event{Actor: w.Actor, Data: d}}
	canonical, err := Encode(r)
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(b, canonical) {
		return Record{}, fmt.Errorf("%w: not in the canonical encoding", ErrRecord)
	}
	return r, nil
}

// EncodeData returns the canonical CBOR of an event's data alone: the very bytes
// that stand under "data" in its record. A database keeps them in a column and
// position, time and actor in others; type and subject follow from the data.
func EncodeData(d Data) ([]byte, error) {
	if err := validateData(d); err != nil {
		return nil, err
	}
	return encoding.Marshal(d)
}

// DecodeData reads what [EncodeData] wrote for an event type, as strictly as
// [Decode].
func DecodeData(typ string, b []byte) (Data, error) {
	decode, ok := kinds[typ]
	if !ok {
		return nil, fmt.Errorf("%w: unknown type %.80q", ErrRecord, typ)
	}
	d, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, typ, err)
	}
	canonical, err := EncodeData(d)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(b, canonical) {
		return nil, fmt.Errorf("%w: %s: not in the canonical encoding", ErrRecord, typ)
	}
	return d, nil
}

// known reports whether a value is the struct of an event type: a pointer to
// one has its methods, but is not what Decode returns.
func known(d Data) bool {
	if d == nil || reflect.TypeOf(d).Kind() != reflect.Struct {
		return false
	}
	_, ok := kinds[d.Type()]
	return ok
}
