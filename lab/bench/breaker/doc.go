// Package breaker holds this project's circuit breaker against
// sony/gobreaker: what a call through each costs, and where the two behave
// differently. It has tests only.
package breaker
