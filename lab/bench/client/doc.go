// Package client measures what a call through pkg/serviceclient costs over a
// tuned net/http client that promises nothing. The server is a process of its
// own, so that the processor time is the caller's alone. It has tests only.
//
//	go test -bench OverBare -benchtime 1x ./lab/bench/client
package client
