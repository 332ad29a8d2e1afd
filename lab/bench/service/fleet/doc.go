// Package fleet runs what is compared: the three services as in production, and the
// floor, one process for each service that it stands in for, all over one Postgres.
package fleet
