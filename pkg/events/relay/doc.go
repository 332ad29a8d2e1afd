// Package relay carries a service's published events from its outbox to its log,
// and hints of them to Redis.
//
// Every instance of the service runs a [Relay]; one of them leads, by a lease in
// the database. The lease only saves work: several relays at once are still
// exact, since places in the log are given under one row lock, and Redis refuses
// an entry whose id is not above the last.
//
// A stream is a cache of the log's end. The relay looks at what a stream ends
// with before it appends to it, and once a second when idle: a tail that Redis
// lost is appended again, and a stream that ends with something that is not in
// the log is deleted and filled anew.
package relay
