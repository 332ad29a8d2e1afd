package controllers

import (
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/text"
	"github.com/go-troika/troika/services/profile-service/internal/models"
)

// updateProfile is the body of PATCH /profiles/:userId; nil leaves a field alone.
type updateProfile struct {
	DisplayName *displayName `json:"displayName"`
	Bio         *bio         `json:"bio"`
	AvatarURL   *imageURL    `json:"avatarUrl"`
}

// Texts of a request in the form in which they are kept. A bio and an imageURL may be
// empty.
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

// profile is a profile in an answer.
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

// spent is what a person's completed orders in one currency come to, in minor
// units.
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

func userID(p profile) string { return p.UserID.String() }
