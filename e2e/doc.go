// Package e2e holds the scenarios that the whole system must pass, written once and run
// on local processes and on containers. They use the services only through their ports:
// HTTP, JSON and exit codes.
//
// TEST_WORLDS names the environments, as in TEST_WORLDS=local,docker; the default is
// local. An environment that is named and does not start is a failure. "make test" sets
// the variable and what the environments need.
//
// A scenario that breaks parts runs alone; those that only call the services run in
// parallel after them, in the same environment.
package e2e
