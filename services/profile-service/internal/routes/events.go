package routes

import (
	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// Events returns what the service needs to know of the others.
func Events(profiles *services.Profiles) *events.Subscriptions {
	s := events.NewSubscriptions()
	events.On(s, contracts.UserCreated, profiles.Follow)
	events.On(s, contracts.UserUpdated, profiles.Follow)
	events.On(s, contracts.UserDeleted, profiles.Forget, events.Supersedes())
	events.On(s, contracts.OrderCompleted, profiles.Count)
	return s
}
