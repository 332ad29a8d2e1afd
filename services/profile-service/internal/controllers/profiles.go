// Package controllers translates between HTTP and the services of profile-service.
package controllers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/text"
	"github.com/go-troika/troika/services/profile-service/internal/models"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// errNothingToChange is the error of a PATCH without a field.
var errNothingToChange = fault.New(fault.Malformed, "nothing_to_change", "Nothing to change").
	WithDetail("give at least one of displayName, bio and avatarUrl")

// Profiles handles the requests under /profiles.
type Profiles struct {
	profiles *services.Profiles
}

// NewProfiles returns a controller over profiles.
func NewProfiles(profiles *services.Profiles) *Profiles {
	return &Profiles{profiles: profiles}
}

// Show handles GET /profiles/:userId.
func (ctl *Profiles) Show(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "userId")
	if err != nil {
		return err
	}
	p, err := ctl.profiles.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return httpserver.Resource(c, http.StatusOK, view(p))
}

// List handles GET /profiles: one page, ordered by user id.
func (ctl *Profiles) List(c *gin.Context) error {
	page, err := httpserver.BindPage(c)
	if err != nil {
		return err
	}
	profiles, err := ctl.profiles.List(c.Request.Context(), page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]profile, len(profiles))
	for i, p := range profiles {
		views[i] = view(p)
	}
	return httpserver.JSON(c, http.StatusOK, httpserver.NewList(views, page.Limit, userID))
}

// Update handles PATCH /profiles/:userId and returns the changed profile.
func (ctl *Profiles) Update(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "userId")
	if err != nil {
		return err
	}
	in, err := httpserver.Bind[updateProfile](c)
	if err != nil {
		return err
	}
	if in == (updateProfile{}) {
		return errNothingToChange
	}
	unchanged, err := httpserver.IfMatch(c, view)
	if err != nil {
		return err
	}
	p, err := ctl.profiles.Update(c.Request.Context(), id, services.Change{
		DisplayName: (*string)(in.DisplayName), Bio: (*string)(in.Bio), AvatarURL: (*string)(in.AvatarURL),
	}, unchanged)
	if err != nil {
		return err
	}
	return httpserver.Resource(c, http.StatusOK, view(p))
}

// updateProfile is the body of PATCH /profiles/:userId; nil leaves a field unchanged.
type updateProfile struct {
	DisplayName *displayName `json:"displayName"`
	Bio         *bio         `json:"bio"`
	AvatarURL   *imageURL    `json:"avatarUrl"`
}

// Texts of a request, decoded to their canonical form. A bio and an imageURL may be empty.
type (
	displayName string
	bio         string
	imageURL    string
)

const (
	maxDisplayName = 200
	maxBio         = 2000
	maxImageURL    = 2048
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *displayName) UnmarshalText(b []byte) error {
	clean, err := text.Line(string(b), maxDisplayName)
	*s = displayName(clean)
	return err
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *bio) UnmarshalText(b []byte) error {
	clean, err := text.Lines(string(b), maxBio)
	*s = bio(clean)
	return err
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *imageURL) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = ""
		return nil
	}
	clean, err := text.URL(string(b), maxImageURL)
	*s = imageURL(clean)
	return err
}

// profile is a profile in a response.
type profile struct {
	UserID          uuid.UUID `json:"userId"`
	DisplayName     string    `json:"displayName"`
	Bio             string    `json:"bio"`
	AvatarURL       string    `json:"avatarUrl"`
	CompletedOrders int64     `json:"completedOrders"`
	Spent           []spent   `json:"spent"`
	CreatedAt       time.Time `json:"createdAt"`
	UpdatedAt       time.Time `json:"updatedAt"`
}

// spent is the total of a user's completed orders in one currency, in minor units.
type spent struct {
	Currency string `json:"currency"`
	Orders   int64  `json:"orders"`
	Total    int64  `json:"total"`
}

func view(p models.Profile) profile {
	v := profile{
		UserID: p.UserID, DisplayName: p.Name, Bio: p.Bio, AvatarURL: p.AvatarURL,
		Spent:     make([]spent, len(p.Totals)),
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
	if p.DisplayName != nil {
		v.DisplayName = *p.DisplayName
	}
	for i, t := range p.Totals {
		v.CompletedOrders += t.Orders
		v.Spent[i] = spent{Currency: t.Currency, Orders: t.Orders, Total: t.Total}
	}
	return v
}

func userID(p profile) uuid.UUID { return p.UserID }
