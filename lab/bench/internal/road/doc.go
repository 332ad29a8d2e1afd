// Package road holds ways for an event to go from a committed transaction to a
// handler in another process: this project's, Watermill's, and one that
// promises nothing and so shows what the servers themselves cost.
//
// All of them take the same steps and can be measured by the same code: an
// application writes, a carrier takes what was written to a Redis stream, a
// receiver hands what is in the stream over to a handler.
package road
