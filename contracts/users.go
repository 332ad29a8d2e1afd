package contracts

import (
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events"
)

// CodeUserNotFound is the problem code of user-service for a user that does not exist.
const CodeUserNotFound = "user_not_found"

// Events of user-service. Their key is the user's id, so a reader gets the events of one
// user in the order of their commits.
var (
	// UserCreated is published when a user registers.
	UserCreated = events.NewType(UserService, "user.created", 1, UserChange.key).Personal()
	// UserUpdated is published when a user's email or name changes.
	UserUpdated = events.NewType(UserService, "user.updated", 1, UserChange.key).Personal()
	// UserDeleted is published when a user is deleted; readers delete the user's data.
	UserDeleted = events.NewType(UserService, "user.deleted", 1, UserDeletion.key).Erasing()
)

// User is the response of user-service for one user.
type User struct {
	// ID is a UUIDv7.
	ID uuid.UUID `json:"id"`
	// Email is trimmed and in lower case, and unique among users that are not deleted.
	Email string `json:"email"`
	// Name has 1 to 200 characters.
	Name string `json:"name"`
	// CreatedAt and UpdatedAt are UTC, to the microsecond.
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// UserChange is the payload of user.created and user.updated: the user after the change.
type UserChange struct {
	UserID uuid.UUID `json:"userId"`
	Email  string    `json:"email"`
	Name   string    `json:"name"`
	// Revision counts the user's changes from 1, so that a reader can detect a late event
	// without comparing clocks.
	Revision int64 `json:"revision"`
}

func (c UserChange) key() string { return c.UserID.String() }

// UserDeletion is the payload of user.deleted.
type UserDeletion struct {
	UserID uuid.UUID `json:"userId"`
}

func (d UserDeletion) key() string { return d.UserID.String() }
