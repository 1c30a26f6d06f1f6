package gateway

// RoutesOf returns the routes that a gateway serves.
func RoutesOf(o Options) []string {
	g, _ := build(o)
	return g.routes
}
