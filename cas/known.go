package cas

import "artifactstore/registry"

// What the gateway says about the store is said in the registry's words; these
// names save it from reaching past the engine.
type (
	// Record is an event in the log.
	Record = registry.Record
	// Totals are counts kept by the registry.
	Totals = registry.Totals
	// OCI is what is recorded of a manifest.
	OCI = registry.OCI
	// Package is a package of the registry.
	Package = registry.Package
	// PackageKey names a package.
	PackageKey = registry.PackageKey

	PackageFilter = registry.PackageFilter
	// Hold is why a package neither expires nor can be deleted.
	Hold = registry.Hold
	// Referrer is a manifest that names another as its subject.
	Referrer = registry.Referrer
	// Token is what is known of a token: everything but its text.
	Token = registry.Token
	// SigningKey is a secret that all gateways on one registry share.
	SigningKey = registry.SigningKey
	// LocationTotal is what locations are counted by.
	LocationTotal = registry.LocationTotal
)

// Forever is the end of a lease without end.
var Forever = registry.Forever

// States are the states of a location.
var States = []registry.State{registry.Stored, registry.Failed, registry.Removing}

// PackageStates are the states of a package.
var PackageStates = []registry.PackageState{registry.Open, registry.Sealed}

// LocationsOn returns how many locations a backend has in each state.
func LocationsOn(t Totals, backendID string) (stored, failed int64) {
	on := func(s registry.State) int64 {
		return t.Locations[LocationTotal{BackendID: backendID, State: s}]
	}
	return on(registry.Stored), on(registry.Failed)
}

// EncodeRecord returns the canonical CBOR of a record.
func EncodeRecord(r Record) ([]byte, error) { return registry.Encode(r) }
