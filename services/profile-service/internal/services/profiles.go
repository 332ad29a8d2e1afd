// Package services holds the rules of profile-service and its transactions.
package services

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/services/profile-service/internal/models"
)

// ErrProfileNotFound: the user is unknown, deleted, or so new that the event
// has not arrived yet.
var ErrProfileNotFound = fault.New(fault.NotFound, "profile_not_found", "Profile not found")

// Profiles keeps what people show of themselves and what they have ordered. It
// is safe for concurrent use.
type Profiles struct {
	db *gorm.DB
}

// NewProfiles returns the profiles kept in db.
func NewProfiles(db *gorm.DB) *Profiles {
	return &Profiles{db: db}
}

// Get reads one profile, or fails with ErrProfileNotFound.
func (s *Profiles) Get(ctx context.Context, userID uuid.UUID) (models.Profile, error) {
	p, err := models.FindProfile(s.db.WithContext(ctx), userID)
	if err != nil {
		return models.Profile{}, expected(err, "get profile")
	}
	return p, nil
}

// List reads at most limit profiles with user ids above after, by user id.
func (s *Profiles) List(ctx context.Context, after uuid.UUID, limit int) ([]models.Profile, error) {
	profiles, err := models.FindProfiles(s.db.WithContext(ctx), after, limit)
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	return profiles, nil
}

// Change is what a person wants to be different; nil leaves a field alone.
type Change struct {
	DisplayName *string // kept without the white space around it
	Bio         *string
	AvatarURL   *string
}

// Update applies c, or fails with ErrProfileNotFound. From the first display
// name on, the profile no longer follows the user's name. Values that are there
// already change nothing, UpdatedAt included.
func (s *Profiles) Update(ctx context.Context, userID uuid.UUID, c Change) (models.Profile, error) {
	err := database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		p, err := models.LockProfile(tx, userID)
		if err != nil {
			return err
		}
		if !c.apply(&p) {
			return nil
		}
		p.UpdatedAt = database.Now()
		return models.UpdateProfile(tx, &p)
	})
	if err != nil {
		return models.Profile{}, expected(err, "update profile")
	}
	return s.Get(ctx, userID)
}

// apply reports whether anything is different afterwards.
func (c Change) apply(p *models.Profile) bool {
	changed := false
	if c.DisplayName != nil {
		if name := strings.TrimSpace(*c.DisplayName); p.DisplayName == nil || *p.DisplayName != name {
			p.DisplayName, changed = &name, true
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

// expected turns an error of models into the one that callers test for, or
// says what was being done.
func expected(err error, doing string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrProfileNotFound
	}
	return fmt.Errorf("%s: %w", doing, err)
}
