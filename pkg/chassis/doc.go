// Package chassis is what every service stands on: it loads nothing and knows
// no business, but opens the parts that all services have in the right order,
// runs them, and stops them so that no request and no event is lost.
//
// A service's main is Main with an App, and its Serve is about ten lines: load
// the configuration, Open, wire the service's own rooms, Run.
package chassis
