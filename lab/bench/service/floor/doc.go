// Package floor is the least that the services could be: the same SQL on the same
// tables in bare gin and pgx, with no authentication, no validation beyond what is
// missing, no ids for tracing, no metrics, no limits, no breaker, and nobody who
// carries the events on. What the services cost above it is the price of all that.
package floor
