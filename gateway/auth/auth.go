// Package auth says who asks and what they may do.
//
// Every request carries a [Principal], which the [Gate] finds from its credentials
// before a handler runs. A principal has grants, "verb:pattern" each; a handler
// names what its request needs, a [Verb] and a [Resource], and [Require] decides.
// What no grant covers is denied, and what a handler forgot to ask is not sent (see
// [Decided]).
//
// # Grants
//
//	pull       read: blobs, packages, manifests, lists, events
//	push       create: what replaces nothing
//	overwrite  move a tag to another manifest, replace a file of an open package
//	delete     remove: packages, files, manifests, tags, leases
//	hold       put a package under a hold, and end one
//	admin      everything else: verifications, another class that keeps shorter
//	*          all of them
//
// A resource is a producer ("ci-7"), a package by producer and name ("ci-7/tool"),
// or a repository ("team/app/web"), whose first segment is its producer. A pattern
// matches segment by segment, as path.Match does, and covers what lies below: "ci-*"
// covers the packages of all producers that begin so, "team/app" the repositories
// team/app and team/app/web, "*" everything, also what belongs to no producer. After
// "=" stands one resource, without what lies below: "=team/app". No verb implies another.
package auth
