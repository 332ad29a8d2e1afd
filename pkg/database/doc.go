// Package database opens a service's own Postgres database and keeps its
// schema up to date.
//
// One service owns one database, named <service>_<env>. Open returns a GORM
// handle over a pgx pool:
//
//	db, err := database.Open(ctx, cfg.Database, database.Name("user-service", "development"))
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	err = database.Transaction(ctx, db.Gorm, func(tx *gorm.DB) error { … })
//
// What differs from a plain gorm.Open: the wait for a free connection is bounded
// (ErrBusy). A transaction that was undone for a reason that is not its own is
// repeated, at most twice, and one whose commit got no answer is
// ErrOutcomeUnknown (Transaction). Every transaction limits its waits. Errors of the
// server that mean "not now" are ErrBusy or ErrUnavailable, which httpserver turns
// into 503. A server that was demoted is left. A function can be registered to run
// once a transaction has committed (AfterCommit). And the schema is versioned SQL,
// applied by Migrate under a lock; a service never alters its schema while serving.
package database
