// Package services contains the business rules and transactions of order-service.
package services

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/order-service/internal/models"
)

// DefaultCurrency is the currency of an order without one.
const DefaultCurrency = "USD"

// maxTotal is the largest integer that every JSON reader represents exactly (RFC 8259, 6).
const maxTotal = 1<<53 - 1

// Expected errors.
var (
	ErrOrderNotFound   = fault.New(fault.NotFound, "order_not_found", "Order not found")
	ErrOrderNotPending = fault.New(fault.Conflict, "order_not_pending", "Order is not pending")
	ErrTotalTooLarge   = fault.New(fault.Unprocessable, "order_total_too_large", "Order total too large")
)

// Orders manages orders. To a person only that person's own orders exist. Every change
// publishes its event in the same transaction. It is safe for concurrent use.
type Orders struct {
	db    *gorm.DB
	users *serviceclient.Client
}

// NewOrders returns the orders in db; users is the client of user-service.
func NewOrders(db *gorm.DB, users *serviceclient.Client) *Orders {
	return &Orders{db: db, users: users}
}

// Place adds a pending order of items for a user and publishes order.created. Repeated
// with the same Idempotency-Key, it returns the order as it was placed then. It fails
// with ErrTotalTooLarge, idempotency.ErrKeyReused, ErrUnknownUser, ErrUsersUnavailable
// or ErrUsersCircuitOpen.
func (s *Orders) Place(ctx context.Context, userID uuid.UUID, currency string, items []models.Item) (models.Order, error) {
	if !userauth.Allows(ctx, userID) {
		return models.Order{}, ErrUnknownUser
	}
	order, err := newPending(userID, currency, items)
	if err != nil {
		return models.Order{}, err
	}
	request := canonical(order)
	made, err := idempotency.Find(ctx, s.db, request)
	if err == nil && made == uuid.Nil {
		made, err = s.placeNew(ctx, request, &order)
	}
	switch {
	case err != nil:
		return models.Order{}, fmt.Errorf("place order: %w", err)
	case made == order.ID:
		return order, nil
	}
	if order, err = s.Get(ctx, made); err != nil {
		return models.Order{}, err
	}
	order.Status, order.UpdatedAt = models.Pending, order.CreatedAt // as it was placed
	return order, nil
}

// placeNew checks the user before the transaction, which a call would keep open for seconds.
func (s *Orders) placeNew(ctx context.Context, request string, order *models.Order) (made uuid.UUID, err error) {
	if err := checkUser(ctx, s.users, order.UserID); err != nil {
		return uuid.Nil, err
	}
	return idempotency.Once(ctx, s.db, request, order.ID, func(tx *gorm.DB) error {
		if err := refuseDeleted(tx, order.UserID); err != nil {
			return err
		}
		if err := models.InsertOrder(tx, order); err != nil {
			return err
		}
		return events.Publish(ctx, tx, contracts.OrderCreated, change(*order))
	})
}

// Get returns one order, or ErrOrderNotFound.
func (s *Orders) Get(ctx context.Context, id uuid.UUID) (models.Order, error) {
	order, err := models.FindOrder(s.db.WithContext(ctx), id)
	switch {
	case err != nil:
		return models.Order{}, mapped(err, "get order")
	case !userauth.Allows(ctx, order.UserID):
		return models.Order{}, ErrOrderNotFound
	}
	return order, nil
}

// List returns at most limit orders that match f, with ids above after, ordered by id.
func (s *Orders) List(ctx context.Context, f models.Filter, after uuid.UUID, limit int) ([]models.Order, error) {
	if user, ok := userauth.User(ctx); ok {
		if f.UserID != nil && *f.UserID != user {
			return nil, nil
		}
		f.UserID = &user
	}
	orders, err := models.FindOrders(s.db.WithContext(ctx), f, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return orders, nil
}

// Complete completes a pending order and publishes order.completed. A completed order
// stays as it is; a cancelled one is ErrOrderNotPending. Before a change it calls check with
// the order, and fails with its error.
func (s *Orders) Complete(ctx context.Context, id uuid.UUID, check func(models.Order) error) (models.Order, error) {
	return s.changeStatus(ctx, id, models.Completed, contracts.OrderCompleted, check)
}

// Cancel cancels a pending order and publishes order.cancelled. A cancelled order stays
// as it is; a completed one is ErrOrderNotPending. Before a change it calls check with the
// order, and fails with its error.
func (s *Orders) Cancel(ctx context.Context, id uuid.UUID, check func(models.Order) error) (models.Order, error) {
	return s.changeStatus(ctx, id, models.Cancelled, contracts.OrderCancelled, check)
}

func (s *Orders) changeStatus(
	ctx context.Context, id uuid.UUID, status string, event events.Type[contracts.OrderChange],
	check func(models.Order) error,
) (models.Order, error) {
	var owner *uuid.UUID
	if user, ok := userauth.User(ctx); ok {
		owner = &user
	}
	var order models.Order
	err := database.Transaction(ctx, s.db, func(tx *gorm.DB) (err error) {
		order, err = models.LockOrder(tx, id, owner)
		switch {
		case err != nil:
			return err
		case order.Status == status:
			return nil
		case order.Status != models.Pending:
			return ErrOrderNotPending.WithDetail("it is " + order.Status)
		}
		if err := check(order); err != nil {
			return err
		}
		order.Status, order.UpdatedAt = status, database.Now()
		if err := models.UpdateStatus(tx, &order); err != nil {
			return err
		}
		return events.Publish(ctx, tx, event, change(order))
	})
	if err != nil {
		return models.Order{}, mapped(err, "change order status")
	}
	return order, nil
}

// newPending returns an order that is not stored yet.
func newPending(userID uuid.UUID, currency string, items []models.Item) (models.Order, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return models.Order{}, fmt.Errorf("make order id: %w", err)
	}
	now := database.Now()
	order := models.Order{
		ID: id, UserID: userID, Status: models.Pending, Currency: currency, Items: items, CreatedAt: now, UpdatedAt: now,
	}
	for i, item := range items {
		if item.Quantity > 0 && item.UnitPrice > (maxTotal-order.Total)/item.Quantity {
			return models.Order{}, ErrTotalTooLarge
		}
		order.Total += item.Quantity * item.UnitPrice
		items[i].Line = i + 1
	}
	return order, nil
}

// canonical returns the order in a canonical form, for package idempotency.
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

// mapped returns the service's error for an error of models, and wraps any other error
// with the operation.
func mapped(err error, doing string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrOrderNotFound
	}
	return fmt.Errorf("%s: %w", doing, err)
}
