// Package services contains the business rules and transactions of profile-service.
package services

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/profile-service/internal/models"
)

// ErrProfileNotFound is the error for a user that is unknown or deleted, or whose event
// has not arrived yet.
var ErrProfileNotFound = fault.New(fault.NotFound, "profile_not_found", "Profile not found")

// Profiles manages user profiles and the totals of completed orders. To a person only that
// person's own profile exists. It is safe for concurrent use.
type Profiles struct {
	db *gorm.DB
}

// NewProfiles returns the profiles in db.
func NewProfiles(db *gorm.DB) *Profiles {
	return &Profiles{db: db}
}

// Get returns one profile, or ErrProfileNotFound.
func (s *Profiles) Get(ctx context.Context, userID uuid.UUID) (models.Profile, error) {
	if !userauth.Allows(ctx, userID) {
		return models.Profile{}, ErrProfileNotFound
	}
	p, err := models.FindProfile(s.db.WithContext(ctx), userID)
	if err != nil {
		return models.Profile{}, mapped(err, "get profile")
	}
	return p, nil
}

// List returns at most limit profiles with user ids above after, ordered by user id.
func (s *Profiles) List(ctx context.Context, after uuid.UUID, limit int) ([]models.Profile, error) {
	profiles, err := models.FindProfiles(s.db.WithContext(ctx), after, limit)
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	return profiles, nil
}

// Change holds the new values of fields; nil leaves a field as it is.
type Change struct {
	DisplayName *string // is trimmed
	Bio         *string
	AvatarURL   *string
}

// Update applies c, or fails with ErrProfileNotFound or the error of check, which it calls
// with the profile before the change. Once a display name is set, the profile no longer
// follows the user's name. Equal values change nothing, not even UpdatedAt.
func (s *Profiles) Update(
	ctx context.Context, userID uuid.UUID, c Change, check func(models.Profile) error,
) (p models.Profile, err error) {
	if !userauth.Allows(ctx, userID) {
		return models.Profile{}, ErrProfileNotFound
	}
	err = database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		current, err := models.LockProfile(tx, userID)
		if err != nil {
			return err
		}
		if p = current; !c.apply(&p) {
			return nil
		}
		if err := check(current); err != nil {
			return err
		}
		p.UpdatedAt = database.Now()
		return models.UpdateProfile(tx, &p)
	})
	if err != nil {
		return models.Profile{}, mapped(err, "update profile")
	}
	return p, nil
}

// apply sets the values in p and reports whether anything changed.
func (c Change) apply(p *models.Profile) bool {
	changed := false
	if c.DisplayName != nil {
		if p.DisplayName == nil || *p.DisplayName != *c.DisplayName {
			p.DisplayName, changed = c.DisplayName, true
		}
	}
	if c.Bio != nil && p.Bio != *c.Bio {
		p.Bio, changed = *c.Bio, true
	}
	if c.AvatarURL != nil && p.AvatarURL != *c.AvatarURL {
		p.AvatarURL, changed = *c.AvatarURL, true
	}
	return changed
}

// mapped returns the service's error for an error of models, and wraps any other error
// with the operation.
func mapped(err error, doing string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrProfileNotFound
	}
	return fmt.Errorf("%s: %w", doing, err)
}
