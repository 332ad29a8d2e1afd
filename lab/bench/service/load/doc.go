// Package load is a closed-loop generator: each caller sends its next request when
// it has the answer to the last. It speaks HTTP/1.1 over connections of its own, so
// that it takes as little as it can from the processors that it shares with what is
// measured.
package load
