// Package database opens a service's own Postgres database and keeps its
// schema up to date.
//
// One service owns one database, named <service>_<env>. Open gives a GORM
// handle over a pgx pool:
//
//	db, err := database.Open(ctx, cfg.Database, database.Name("user-service", "development"))
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	err = database.Transaction(ctx, db.Gorm, func(tx *gorm.DB) error { … })
//
// Five things differ from a plain gorm.Open. The wait for a free connection is
// bounded (ErrBusy, which httpserver answers with 503) instead of lasting as long
// as the request. A connection that the server ends is not noticed: what was not
// committed is done again on another (Transaction, and reads outside of one), and
// of a commit without an answer the server is asked what became of it. Round trips
// are saved: BEGIN goes out with the first statement, and what nobody waits for
// (Later) with the next; Read queries without gorm's share of the cost. A function
// can be registered to run once a transaction has committed (AfterCommit). And the
// schema is versioned SQL, applied by Migrate under a lock; a service never alters
// its schema while serving.
package database
