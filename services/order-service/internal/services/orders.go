// Package services holds the rules of order-service and its transactions.
package services

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/services/order-service/internal/models"
)

// DefaultCurrency is that of an order that names none.
const DefaultCurrency = "USD"

// maxTotal is the largest integer that every JSON reader keeps.
const maxTotal = 1<<53 - 1

// What a caller can expect to go wrong with an order.
var (
	ErrOrderNotFound   = fault.New(fault.NotFound, "order_not_found", "Order not found")
	ErrOrderNotPending = fault.New(fault.Conflict, "order_not_pending", "Order is not pending")
	ErrTotalTooLarge   = fault.New(fault.Unprocessable, "order_total_too_large", "Order total too large")
)

// Orders keeps the orders. What changes one also publishes its event, in the
// same transaction. It is safe for concurrent use.
type Orders struct {
	db    *gorm.DB
	users *Users
}

// NewOrders returns the orders kept in db, placed for people whom users knows.
func NewOrders(db *gorm.DB, users *Users) *Orders {
	return &Orders{db: db, users: users}
}

// Place adds a pending order with the user, currency and items of order and
// publishes order.created. If an earlier request with the key of ctx placed it, it
// does nothing and returns the order as it was placed then, with true. It fails with
// ErrTotalTooLarge, idempotency.ErrKeyReused, ErrUserUnknown, ErrUsersUnavailable or
// ErrUsersCircuitOpen, and then has placed nothing.
func (s *Orders) Place(ctx context.Context, order models.Order) (models.Order, bool, error) {
	order, err := draft(order)
	if err != nil {
		return models.Order{}, false, err
	}
	db, request := s.db.WithContext(ctx), idempotency.NewRequest(ctx, canonical(order))
	made, err := request.Made(db)
	if err == nil && made == uuid.Nil {
		err = s.users.Check(ctx, order.UserID) // not in the transaction: it may take seconds
	}
	if err == nil && made == uuid.Nil {
		err = database.Transaction(ctx, db, func(tx *gorm.DB) error {
			made, err = request.Take(tx, order.ID)
			if err != nil || made != order.ID {
				return err
			}
			if err := models.InsertOrder(tx, &order); err != nil {
				return err
			}
			return events.Publish(ctx, tx, contracts.OrderCreated, change(order))
		})
	}
	switch {
	case err != nil:
		return models.Order{}, false, fmt.Errorf("place order: %w", err)
	case made == order.ID:
		return order, false, nil
	}
	if order, err = models.FindOrder(db, made); err != nil {
		return models.Order{}, false, fmt.Errorf("find placed order: %w", err)
	}
	order.Status, order.UpdatedAt = models.Pending, order.CreatedAt // as it was placed
	return order, true, nil
}

// Get reads one order, or fails with ErrOrderNotFound.
func (s *Orders) Get(ctx context.Context, id uuid.UUID) (models.Order, error) {
	order, err := models.FindOrder(s.db.WithContext(ctx), id)
	if err != nil {
		return models.Order{}, expected(err, "get order")
	}
	return order, nil
}

// List reads at most limit orders that pass f, with ids above after, by id.
func (s *Orders) List(ctx context.Context, f models.Filter, after uuid.UUID, limit int) ([]models.Order, error) {
	orders, err := models.FindOrders(s.db.WithContext(ctx), f, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return orders, nil
}

// Complete settles a pending order and publishes order.completed. A completed
// order stays as it is; a cancelled one is ErrOrderNotPending.
func (s *Orders) Complete(ctx context.Context, id uuid.UUID) (models.Order, error) {
	return s.settle(ctx, id, models.Completed, contracts.OrderCompleted)
}

// Cancel settles a pending order and publishes order.cancelled. A cancelled
// order stays as it is; a completed one is ErrOrderNotPending.
func (s *Orders) Cancel(ctx context.Context, id uuid.UUID) (models.Order, error) {
	return s.settle(ctx, id, models.Cancelled, contracts.OrderCancelled)
}

func (s *Orders) settle(
	ctx context.Context, id uuid.UUID, status string, event events.Type[contracts.OrderChange],
) (models.Order, error) {
	var order models.Order
	err := database.Transaction(ctx, s.db, func(tx *gorm.DB) (err error) {
		order, err = models.LockOrder(tx, id)
		switch {
		case err != nil:
			return err
		case order.Status == status:
			return nil
		case order.Status != models.Pending:
			return ErrOrderNotPending.WithDetail("it is " + order.Status)
		}
		order.Status, order.UpdatedAt = status, database.Now()
		if err := models.UpdateStatus(tx, &order); err != nil {
			return err
		}
		return events.Publish(ctx, tx, event, change(order))
	})
	if err != nil {
		return models.Order{}, expected(err, "settle order")
	}
	return order, nil
}

// draft completes what the caller wants to a pending order.
func draft(order models.Order) (models.Order, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return order, fmt.Errorf("make order id: %w", err)
	}
	now := database.Now()
	order.ID, order.Status, order.CreatedAt, order.UpdatedAt = id, models.Pending, now, now
	if order.Currency == "" {
		order.Currency = DefaultCurrency
	}
	for i, item := range order.Items {
		if item.Quantity > 0 && item.UnitPrice > (maxTotal-order.Total)/item.Quantity {
			return order, ErrTotalTooLarge
		}
		order.Total += item.Quantity * item.UnitPrice
		order.Items[i].Line = i + 1
	}
	return order, nil
}

// canonical is what the caller asked for, however the request was spelled.
func canonical(o models.Order) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", o.UserID, o.Currency)
	for _, item := range o.Items {
		fmt.Fprintf(&b, "\n%q %d %d", item.SKU, item.Quantity, item.UnitPrice)
	}
	return b.String()
}

func change(o models.Order) contracts.OrderChange {
	return contracts.OrderChange{
		OrderID: o.ID, UserID: o.UserID, Currency: o.Currency, Total: o.Total, At: o.UpdatedAt.UTC(),
	}
}

// expected turns an error of models into the one that callers test for, or
// says what was being done.
func expected(err error, doing string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrOrderNotFound
	}
	return fmt.Errorf("%s: %w", doing, err)
}
