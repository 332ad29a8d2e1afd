// Package contracts contains the shared formats of the services: the payloads of events
// and the responses that another service reads. Its golden files are the wire format:
// fields can be added, but not changed or removed.
//
// A service owns the types it sends. Readers ignore unknown fields, so that a sender can
// be deployed first.
package contracts
