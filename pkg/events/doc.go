// Package events carries what happened in one service to the others, without
// loss and without repetition.
//
// A service publishes inside the transaction that makes the event true, and
// another service's handler runs inside a transaction of its own:
//
//	var UserCreated = events.NewType("user-service", "user.created", 1,
//		func(u User) string { return u.UserID })
//
//	// user-service
//	err := db.Transaction(func(tx *gorm.DB) error {
//		…insert the user…
//		return events.Publish(ctx, tx, UserCreated, User{UserID: id, …})
//	})
//
//	// profile-service
//	events.On(consumer, UserCreated, func(ctx context.Context, tx *gorm.DB, u User) error {
//		…insert the profile with tx…
//	})
//
// # The road
//
// Publish writes one row into event_outbox. The Relay of the publishing service
// moves committed rows to event_log, numbers them per partition, and appends
// them to the partition's Redis stream, with the number as entry id. The
// Consumer of each subscribed service reads the stream through a consumer
// group, and handles each event in one transaction with its inbox row and its
// offset.
//
// # The promise
//
// What a transaction published reaches every subscribed service and takes
// effect there exactly once, in the order of its key, whatever dies in between:
// publisher, relay, consumer, Redis with all its data, Postgres. "Effect" means
// what the handler wrote with its tx; a handler that reaches outside its
// database runs at least once and gets the event's id (FromContext) as an
// idempotency key.
//
// Postgres owns order and history; Redis is a copy that can be made again. The
// relay appends by compare-and-append: an entry is accepted only when the
// stream's last id is the one before it. So the stream's last id is the
// watermark, and a restarted relay, a second relay, a Redis that lost its last
// second or everything are one case: continue after the last id, from the log.
//
// Events with the same key keep the order in which their transactions
// committed, if those transactions lock a row of their own (the aggregate's)
// before they publish. Events with different keys have no order.
//
// Only the database's clock counts. Session locks need a direct connection to
// Postgres; a pooler in transaction mode (PgBouncer) must not stand in between.
package events
