// Package controllers turns requests to profile-service into calls of its
// services, and their results into answers.
package controllers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// errNothingToChange answers a change that names no field.
var errNothingToChange = fault.New(fault.Malformed, "nothing_to_change", "Nothing to change").
	WithDetail("give at least one of displayName, bio and avatarUrl")

// Profiles answers the requests under /profiles.
type Profiles struct {
	profiles *services.Profiles
}

// NewProfiles returns a controller over profiles.
func NewProfiles(profiles *services.Profiles) *Profiles {
	return &Profiles{profiles: profiles}
}

// Show answers GET /profiles/:userId.
func (ctl *Profiles) Show(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "userId")
	if err != nil {
		return err
	}
	p, err := ctl.profiles.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return httpserver.JSON(c, http.StatusOK, view(p))
}

// List answers GET /profiles with one page, by user id.
func (ctl *Profiles) List(c *gin.Context) error {
	page, err := httpserver.BindPage(c)
	if err != nil {
		return err
	}
	after, err := page.AfterUUID()
	if err != nil {
		return err
	}
	profiles, err := ctl.profiles.List(c.Request.Context(), after, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]profile, len(profiles))
	for i, p := range profiles {
		views[i] = view(p)
	}
	return httpserver.JSON(c, http.StatusOK, httpserver.NewList(views, page.Limit, userID))
}

// Update answers PATCH /profiles/:userId with the profile as it is now.
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
	p, err := ctl.profiles.Update(c.Request.Context(), id, services.Change{
		DisplayName: (*string)(in.DisplayName), Bio: (*string)(in.Bio), AvatarURL: (*string)(in.AvatarURL),
	})
	if err != nil {
		return err
	}
	return httpserver.JSON(c, http.StatusOK, view(p))
}
