package routes

import (
	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// Events subscribes the service to what it needs to know of the others.
func Events(c *events.Consumer, profiles *services.Profiles) {
	events.On(c, contracts.UserCreated, profiles.Follow)
	events.On(c, contracts.UserUpdated, profiles.Follow)
	events.On(c, contracts.UserDeleted, profiles.Forget)
	events.On(c, contracts.OrderCompleted, profiles.Count)
	events.Ignore(c, contracts.OrderCreated, contracts.OrderCancelled)
}
