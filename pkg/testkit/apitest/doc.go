// Package apitest runs a whole service in a test, wired as in production, on a Postgres
// and a Redis of the test's own, and checks every call against its OpenAPI document.
package apitest
