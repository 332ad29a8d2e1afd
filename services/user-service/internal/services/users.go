// Package services contains the business rules and transactions of user-service.
package services

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/user-service/internal/models"
)

// Expected errors.
var (
	ErrUserNotFound = fault.New(fault.NotFound, contracts.CodeUserNotFound, "User not found")
	ErrEmailTaken   = fault.New(fault.Conflict, "email_taken", "Email already taken")
)

// Users manages users. To a person only that person's own user exists. Every change
// publishes its event in the same transaction. It is safe for concurrent use.
type Users struct {
	db *gorm.DB
}

// NewUsers returns the users in db.
func NewUsers(db *gorm.DB) *Users {
	return &Users{db: db}
}

// Register adds a user and publishes user.created. Repeated with the same
// Idempotency-Key, it returns the current state of the user. It fails with ErrEmailTaken if
// another user has the email, with idempotency.ErrKeyReused, or with ErrUserNotFound if
// the user of the key has been deleted.
func (s *Users) Register(ctx context.Context, email, name string) (models.User, error) {
	return s.register(ctx, email, name, func(*gorm.DB, uuid.UUID) error { return nil })
}

// register is Register, with what also does in the same transaction.
func (s *Users) register(
	ctx context.Context, email, name string, also func(*gorm.DB, uuid.UUID) error,
) (models.User, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return models.User{}, fmt.Errorf("make user id: %w", err)
	}
	now := database.Now()
	user := models.User{ID: id, Email: email, Name: name, Revision: 1, CreatedAt: now, UpdatedAt: now}
	made, err := idempotency.Once(ctx, s.db, fmt.Sprintf("%q %q", email, name), id, func(tx *gorm.DB) error {
		if err := models.InsertUser(tx, &user); err != nil {
			return err
		}
		if err := also(tx, id); err != nil {
			return err
		}
		return events.Publish(ctx, tx, contracts.UserCreated, change(user))
	})
	switch {
	case err != nil:
		return models.User{}, mapped(err, "register user")
	case made != id:
		return s.Get(ctx, made)
	}
	return user, nil
}

// Get returns one user, or ErrUserNotFound.
func (s *Users) Get(ctx context.Context, id uuid.UUID) (models.User, error) {
	if !userauth.Allows(ctx, id) {
		return models.User{}, ErrUserNotFound
	}
	user, err := models.FindUser(s.db.WithContext(ctx), id)
	if err != nil {
		return models.User{}, mapped(err, "get user")
	}
	return user, nil
}

// List returns at most limit users with ids above after, ordered by id.
func (s *Users) List(ctx context.Context, after uuid.UUID, limit int) ([]models.User, error) {
	users, err := models.FindUsers(s.db.WithContext(ctx), after, limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// Update sets the values that are not nil and publishes user.updated, unless nothing
// changes. It fails with ErrUserNotFound, ErrEmailTaken, ErrTooManyAttempts for a person who
// gives an email again and again, or the error of check, which it calls with the user as it
// is before the change.
func (s *Users) Update(
	ctx context.Context, id uuid.UUID, email, name *string, check func(models.User) error,
) (models.User, error) {
	if !userauth.Allows(ctx, id) {
		return models.User{}, ErrUserNotFound
	}
	if email != nil {
		if err := s.mayChangeEmail(ctx, id, *email); err != nil {
			return models.User{}, err
		}
	}
	var user models.User
	err := database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		locked, err := models.LockUser(tx, id)
		if err != nil {
			return err
		}
		if locked.DeletedAt != nil {
			return ErrUserNotFound
		}
		user = locked
		if email != nil {
			user.Email = *email
		}
		if name != nil {
			user.Name = *name
		}
		if user == locked {
			return nil
		}
		if err := check(locked); err != nil {
			return err
		}
		user.Revision, user.UpdatedAt = locked.Revision+1, database.Now()
		if err := models.UpdateUser(tx, &user); err != nil {
			return err
		}
		return events.Publish(ctx, tx, contracts.UserUpdated, change(user))
	})
	if err != nil {
		return models.User{}, mapped(err, "update user")
	}
	return user, nil
}

// mayChangeEmail counts the requests of people that name another email than their own.
func (s *Users) mayChangeEmail(ctx context.Context, id uuid.UUID, email string) error {
	if _, person := userauth.User(ctx); !person {
		return nil
	}
	user, err := s.Get(ctx, id)
	if err != nil || user.Email == email {
		return err
	}
	_, err = limits{s.db}.take(ctx, emailChange, id.String())
	return err
}

// Delete erases a user's data, keeps the row so that the id is not used again, and
// publishes user.deleted. Deleting a deleted user does nothing. It fails with
// ErrUserNotFound or the error of check, which it calls with the user before the deletion.
func (s *Users) Delete(ctx context.Context, id uuid.UUID, check func(models.User) error) error {
	if !userauth.Allows(ctx, id) {
		return ErrUserNotFound
	}
	err := database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		user, err := models.LockUser(tx, id)
		if err != nil || user.DeletedAt != nil {
			return err
		}
		if err := check(user); err != nil {
			return err
		}
		now := database.Now()
		erased := models.User{
			ID: id, Revision: user.Revision + 1, CreatedAt: user.CreatedAt, UpdatedAt: now, DeletedAt: &now,
		}
		if err := models.UpdateUser(tx, &erased); err != nil {
			return err
		}
		if err := models.DeleteCredentials(tx, id); err != nil {
			return err
		}
		if err := idempotency.Erase(tx, id); err != nil {
			return err
		}
		return events.Publish(ctx, tx, contracts.UserDeleted, contracts.UserDeletion{UserID: id})
	})
	if err != nil {
		return mapped(err, "delete user")
	}
	return nil
}

func change(u models.User) contracts.UserChange {
	return contracts.UserChange{UserID: u.ID, Email: u.Email, Name: u.Name, Revision: u.Revision}
}

// mapped returns the service's error for an error of models, and wraps any other error
// with the operation.
func mapped(err error, doing string) error {
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return ErrUserNotFound
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return ErrEmailTaken
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}
