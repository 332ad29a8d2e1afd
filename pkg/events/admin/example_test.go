package admin_test

import (
	"context"
	"fmt"
	"time"

	"github.com/go-troika/troika/pkg/events/admin"
)

// After a bug in a handler was fixed and deployed: retry its dead letters, and apply
// the last hour of order-service's events again.
func ExampleOperator() {
	_ = func(ctx context.Context, o *admin.Operator) error {
		keys, err := o.Redrive(ctx, admin.Selection{Event: "order.completed"})
		if err != nil {
			return err
		}
		hourAgo := time.Now().Add(-time.Hour)
		events, err := o.Replay(ctx, admin.Replay{Service: "order-service", Since: &hourAgo})
		if err != nil {
			return err
		}
		fmt.Println(keys, "keys redriven,", events, "events to apply again")
		return nil
	}
	// Output:
}
