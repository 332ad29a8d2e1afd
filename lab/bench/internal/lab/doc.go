// Package lab gives measurements databases and streams of their own on a real
// Postgres and a real Redis, and takes them away again.
package lab
