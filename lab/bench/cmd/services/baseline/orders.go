package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type orderStore struct {
	db     *pgxpool.Pool
	users  string
	client *http.Client
}

type item struct {
	SKU       string `json:"sku" binding:"required"`
	Quantity  int64  `json:"quantity" binding:"required"`
	UnitPrice int64  `json:"unitPrice"`
}

type order struct {
	ID        uuid.UUID `json:"id"`
	UserID    uuid.UUID `json:"userId" binding:"required"`
	Status    string    `json:"status"`
	Currency  string    `json:"currency"`
	Items     []item    `json:"items" binding:"required,dive"`
	Total     int64     `json:"total"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (s *orderStore) create(c *gin.Context) {
	var o order
	if err := c.ShouldBindJSON(&o); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	ctx := c.Request.Context()
	if err := s.findUser(ctx, o.UserID); err != nil {
		broken(c, err)
		return
	}
	o.ID, o.Status, o.CreatedAt = uuid.Must(uuid.NewV7()), "pending", time.Now().UTC()
	o.UpdatedAt = o.CreatedAt
	for _, i := range o.Items {
		o.Total += i.Quantity * i.UnitPrice
	}
	if err := s.insert(ctx, o); err != nil {
		broken(c, err)
		return
	}
	c.JSON(http.StatusCreated, o)
}

// findUser returns nil if the user exists.
func (s *orderStore) findUser(ctx context.Context, id uuid.UUID) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.users+"/users/"+id.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var u user
	if err := json.NewDecoder(resp.Body).Decode(&u); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || u.ID != id {
		return fmt.Errorf("user %s: %s", id, resp.Status)
	}
	return nil
}

const insertOrder = `INSERT INTO orders (id, user_id, status, currency, total, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

func (s *orderStore) insert(ctx context.Context, o order) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertOrder, o.ID, o.UserID, o.Status, o.Currency, o.Total, o.CreatedAt, o.UpdatedAt)
		if err != nil {
			return err
		}
		query, args := insertItems(o)
		if _, err := tx.Exec(ctx, query, args...); err != nil {
			return err
		}
		return publish(ctx, tx, "order-service", "order.created", o.ID,
			gin.H{"orderId": o.ID, "userId": o.UserID, "currency": o.Currency, "total": o.Total, "at": o.UpdatedAt})
	})
}

// insertItems returns one statement for all lines.
func insertItems(o order) (query string, args []any) {
	var b strings.Builder
	b.WriteString(`INSERT INTO order_items (order_id, line, sku, quantity, unit_price) VALUES `)
	for n, i := range o.Items {
		if n > 0 {
			b.WriteByte(',')
		}
		at := len(args)
		fmt.Fprintf(&b, "($%d,$%d,$%d,$%d,$%d)", at+1, at+2, at+3, at+4, at+5)
		args = append(args, o.ID, n+1, i.SKU, i.Quantity, i.UnitPrice)
	}
	return b.String(), args
}
