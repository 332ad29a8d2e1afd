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
//	err = db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error { … })
//
// Four things differ from a plain gorm.Open. The wait for a free connection
// is bounded (ErrBusy, which httpserver answers with 503) instead of lasting as
// long as the request. A function can be registered to run once a transaction
// has committed (AfterCommit). A transaction sends BEGIN with its first statement,
// and what nobody waits for (Later) with the next, which saves round trips; Read
// queries without gorm's share of the cost. And the schema is versioned SQL, applied by
// Migrate under a lock; a service never alters its schema while serving.
package database
