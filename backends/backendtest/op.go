package backendtest

// Op is a kind of call on a backend, an upload or an opened object.
type Op string

// The calls there are. Read and Write move bytes; the reader's Close is not
// among them.
const (
	Begin   Op = "begin"
	Resume  Op = "resume"
	Write   Op = "write"
	Suspend Op = "suspend"
	Commit  Op = "commit"
	Abort   Op = "abort"
	Close   Op = "close"
	Open    Op = "open"
	Read    Op = "read"
	Stat    Op = "stat"
	List    Op = "list"
	Delete  Op = "delete"
	Sweep   Op = "sweep"
	Health  Op = "health"
)

// Ops are all of them, for tests that let each fail in turn.
var Ops = []Op{Begin, Resume, Write, Suspend, Commit, Abort, Close, Open, Read, Stat, List, Delete, Sweep, Health}
