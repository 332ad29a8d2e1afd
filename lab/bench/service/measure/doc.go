// Package measure takes the figures of the services: what a request costs beside the
// floor, how fast an event arrives, what an idle service holds, how fast it starts.
package measure
