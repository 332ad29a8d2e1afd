package contracts

import (
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events"
)

// Events of order-service. Their key is the order's id: a reader gets the events of one
// order in the order of their commits, and those of different orders in any order.
var (
	// OrderCreated is published when an order is placed.
	OrderCreated = events.NewType(OrderService, "order.created", 1, OrderChange.key)
	// OrderCompleted is published when a pending order is completed.
	OrderCompleted = events.NewType(OrderService, "order.completed", 1, OrderChange.key)
	// OrderCancelled is published when a pending order is cancelled.
	OrderCancelled = events.NewType(OrderService, "order.cancelled", 1, OrderChange.key)
)

// OrderChange is the payload of every event of an order.
type OrderChange struct {
	OrderID uuid.UUID `json:"orderId"`
	UserID  uuid.UUID `json:"userId"`
	// Currency is an ISO 4217 code.
	Currency string `json:"currency"`
	// Total is in minor units of Currency, 0 to 2⁵³−1.
	Total int64 `json:"total"`
	// At is when the order was placed, completed or cancelled, in UTC.
	At time.Time `json:"at"`
}

func (c OrderChange) key() string { return c.OrderID.String() }
