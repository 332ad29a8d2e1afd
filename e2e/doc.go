// Package e2e holds the scenarios that the whole system must pass, written once
// and run on local processes and on containers. They use the services only
// through their ports: HTTP, JSON and exit codes.
//
// TEST_WORLDS chooses the worlds, as in TEST_WORLDS=local,docker; unset means
// local. A chosen world that cannot start is a failure. "make test" sets what
// the worlds need and runs them.
//
// A scenario that breaks parts of its world runs alone; those that only call it
// run in parallel after them, in the same world.
package e2e
