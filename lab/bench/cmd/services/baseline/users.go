package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type userStore struct{ db *pgxpool.Pool }

type user struct {
	ID        uuid.UUID `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

const findUser = `SELECT id, email, name, revision, created_at, updated_at, deleted_at FROM users
WHERE id = $1 AND deleted_at IS NULL LIMIT 1`

func (s *userStore) show(c *gin.Context) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		c.Status(http.StatusBadRequest)
		return
	}
	var u user
	var revision int64
	var deleted *time.Time
	err = s.db.QueryRow(c.Request.Context(), findUser, id).
		Scan(&u.ID, &u.Email, &u.Name, &revision, &u.CreatedAt, &u.UpdatedAt, &deleted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		c.Status(http.StatusNotFound)
	case err != nil:
		broken(c, err)
	default:
		c.JSON(http.StatusOK, u)
	}
}

const insertUser = `INSERT INTO users (id, email, name, revision, created_at, updated_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

func (s *userStore) create(c *gin.Context) {
	var in struct {
		Email string `json:"email" binding:"required"`
		Name  string `json:"name" binding:"required"`
	}
	if err := c.ShouldBindJSON(&in); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	now := time.Now().UTC()
	u := user{ID: uuid.Must(uuid.NewV7()), Email: in.Email, Name: in.Name, CreatedAt: now, UpdatedAt: now}
	if err := s.insert(c.Request.Context(), u); err != nil {
		broken(c, err)
		return
	}
	c.JSON(http.StatusCreated, u)
}

func (s *userStore) insert(ctx context.Context, u user) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertUser, u.ID, u.Email, u.Name, 1, u.CreatedAt, u.UpdatedAt, nil); err != nil {
			return err
		}
		return publish(ctx, tx, "user-service", "user.created", u.ID,
			gin.H{"userId": u.ID, "email": u.Email, "name": u.Name, "revision": 1})
	})
}
