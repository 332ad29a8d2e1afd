package controllers

import (
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/services/profile-service/internal/models"
)

// updateProfile is the body of PATCH /profiles/:userId; nil leaves a field alone.
type updateProfile struct {
	DisplayName *string   `json:"displayName" validate:"omitnil,notblank,max=200"`
	Bio         *string   `json:"bio" validate:"omitnil,max=2000"`
	AvatarURL   *imageURL `json:"avatarUrl" validate:"omitnil,max=2048"`
}

// imageURL is an absolute https URL, or empty for no image.
type imageURL string

var errImageURL = fault.New(fault.Malformed, "validation_failed", "must be an absolute https URL, or empty")

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *imageURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if len(text) > 0 && (err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
		return errImageURL
	}
	*s = imageURL(text)
	return nil
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
