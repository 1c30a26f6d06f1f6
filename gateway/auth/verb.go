package auth

// Verb is what somebody does to a resource.
type Verb string

// The verbs. None implies another.
const (
	Pull      Verb = "pull"
	Push      Verb = "push"
	Overwrite Verb = "overwrite"
	Delete    Verb = "delete"
	Hold      Verb = "hold"
	Admin     Verb = "admin"

	// Every stands in a grant for all of them, and for no one's request.
	Every Verb = "*"
)

// Verbs returns all that a request can need.
func Verbs() []Verb { return []Verb{Pull, Push, Overwrite, Delete, Hold, Admin} }
