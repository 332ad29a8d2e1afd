// Package contracts holds what crosses a border between two services: the
// payloads of events and the responses that another service reads. Its golden
// files are the wire format; a field may be added, none may change or go.
//
// A service owns the types it sends. Readers decode them as they are and
// ignore fields they do not know, so that a sender can be deployed first.
package contracts
