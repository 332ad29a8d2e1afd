package services

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/services/order-service/internal/models"
)

// ErrKeyReused: the key came with another request before, so one of the two
// would be lost.
var ErrKeyReused = fault.New(fault.Unprocessable, "idempotency_key_reused",
	"Idempotency-Key was used for another request")

// Key is what makes a repeated request recognisable. The zero Key is none: each
// request is then a new one.
type Key struct {
	// Caller is the service that called; callers cannot see each other's keys.
	Caller string
	// Value is the request's Idempotency-Key.
	Value string
}

// request is what a key stands for.
type request struct {
	key  Key
	hash []byte
}

// newRequest is the request to place order. It does not depend on how the
// request was spelled, nor on what order was given since.
func newRequest(key Key, order models.Order) request {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s", order.UserID, order.Currency)
	for _, item := range order.Items {
		fmt.Fprintf(h, "\n%q %d %d", item.SKU, item.Quantity, item.UnitPrice)
	}
	return request{key: key, hash: h.Sum(nil)}
}

// take makes the key stand for order and reports true, or false if it stands
// for one already. While another transaction takes the same key, it waits for
// that one's end.
func (r request) take(tx *gorm.DB, order models.Order) (bool, error) {
	if r.key == (Key{}) {
		return true, nil
	}
	return models.TakeKey(tx, &models.IdempotencyKey{
		Caller: r.key.Caller, Key: r.key.Value,
		RequestHash: r.hash, OrderID: order.ID,
	})
}

// placed reads the order that the key stands for, as it was when it was placed.
// The error is gorm.ErrRecordNotFound if the key stands for none, ErrKeyReused
// if it stands for another request.
func (r request) placed(tx *gorm.DB) (models.Order, error) {
	if r.key == (Key{}) {
		return models.Order{}, gorm.ErrRecordNotFound
	}
	taken, err := models.FindKey(tx, r.key.Caller, r.key.Value)
	if err != nil {
		return models.Order{}, fmt.Errorf("find idempotency key: %w", err)
	}
	if !bytes.Equal(taken.RequestHash, r.hash) {
		return models.Order{}, ErrKeyReused
	}
	order, err := models.FindOrder(tx, taken.OrderID)
	if err != nil {
		return models.Order{}, fmt.Errorf("find placed order: %w", err)
	}
	order.Status, order.UpdatedAt = models.Pending, order.CreatedAt
	return order, nil
}
