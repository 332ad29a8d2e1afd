// Package testkit provides tests with a real Postgres and a real Redis.
//
// Each test gets a database of its own, copied from a template that has the
// schema already, and a Redis database of its own; both are gone when it ends.
// Tests can run in parallel. The servers are named by TEST_POSTGRES_URL (a
// superuser's) and TEST_REDIS_URL; `make test` starts both and sets these. Without
// them the test process starts its own, from the programs on the machine, and they
// end with it. A test whose server is missing fails and says so; it is never skipped.
//
//	db := testkit.Postgres(t, "user-service", models.Schema)
//	users := services.NewUsers(db.Gorm)
package testkit
