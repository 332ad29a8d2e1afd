// Package controllers translates between HTTP and the services of user-service.
package controllers

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/text"
	"github.com/go-troika/troika/services/user-service/internal/models"
	"github.com/go-troika/troika/services/user-service/internal/services"
)

// errNothingToChange is the error of a PATCH without a field.
var errNothingToChange = fault.New(fault.Malformed, "nothing_to_change", "Nothing to change").
	WithDetail("give email, name or both")

// Users handles the requests under /users.
type Users struct {
	users *services.Users
}

// NewUsers returns a controller over users.
func NewUsers(users *services.Users) *Users {
	return &Users{users: users}
}

type createUser struct {
	Email email `json:"email" validate:"required"`
	Name  name  `json:"name" validate:"required"`
}

// Create handles POST /users: 201 with the new user, or with the one that an earlier
// request with the same Idempotency-Key created.
func (ctl *Users) Create(c *gin.Context) error {
	in, err := httpserver.Bind[createUser](c)
	if err != nil {
		return err
	}
	user, err := ctl.users.Register(c.Request.Context(), string(in.Email), string(in.Name))
	if err != nil {
		return err
	}
	c.Header("Location", "/users/"+user.ID.String())
	return httpserver.Resource(c, http.StatusCreated, view(user))
}

// Show handles GET /users/:id.
func (ctl *Users) Show(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "id")
	if err != nil {
		return err
	}
	user, err := ctl.users.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return httpserver.Resource(c, http.StatusOK, view(user))
}

// List handles GET /users: one page, ordered by id.
func (ctl *Users) List(c *gin.Context) error {
	page, err := httpserver.BindPage(c)
	if err != nil {
		return err
	}
	users, err := ctl.users.List(c.Request.Context(), page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]contracts.User, len(users))
	for i, u := range users {
		views[i] = view(u)
	}
	return httpserver.JSON(c, http.StatusOK, httpserver.NewList(views, page.Limit, userID))
}

type updateUser struct {
	Email *email `json:"email"`
	Name  *name  `json:"name"`
}

// Update handles PATCH /users/:id and returns the changed user.
func (ctl *Users) Update(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "id")
	if err != nil {
		return err
	}
	in, err := httpserver.Bind[updateUser](c)
	if err != nil {
		return err
	}
	if in.Email == nil && in.Name == nil {
		return errNothingToChange
	}
	unchanged, err := httpserver.IfMatch(c, view)
	if err != nil {
		return err
	}
	user, err := ctl.users.Update(c.Request.Context(), id, (*string)(in.Email), (*string)(in.Name), unchanged)
	if err != nil {
		return err
	}
	return httpserver.Resource(c, http.StatusOK, view(user))
}

// Delete handles DELETE /users/:id: 204, also if the user was deleted before.
func (ctl *Users) Delete(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "id")
	if err != nil {
		return err
	}
	unchanged, err := httpserver.IfMatch(c, view)
	if err != nil {
		return err
	}
	if err := ctl.users.Delete(c.Request.Context(), id, unchanged); err != nil {
		return err
	}
	return httpserver.NoContent(c)
}

func view(u models.User) contracts.User {
	return contracts.User{
		ID: u.ID, Email: u.Email, Name: u.Name,
		CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
	}
}

func userID(u contracts.User) uuid.UUID { return u.ID }

// email and name are texts of a request, decoded to their canonical form.
type (
	email string
	name  string
)

const maxName = 200

// UnmarshalText implements [encoding.TextUnmarshaler].
func (e *email) UnmarshalText(b []byte) error {
	clean, err := text.Email(string(b))
	*e = email(clean)
	return err
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *name) UnmarshalText(b []byte) error {
	clean, err := text.Line(string(b), maxName)
	*n = name(clean)
	return err
}
