// Package interleaving runs what changes parked events side by side on a real
// Postgres, one statement at a time: a batch that parks behind a key, a retry of
// it, and a person who discards, redrives or replays. A gate before the server
// holds each statement back until it is that side's turn, so that a test decides
// who goes first between any two, and tries them all up to a number of switches
// (Musuvathi and Qadeer, Iterative context bounding, PLDI 2007). Package
// simulation has its transactions one after the other; here they meet.
package interleaving
