package controllers_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
)

func TestIdentities(t *testing.T) {
	b := setup(t)
	b.Identities(t, func(t testing.TB) (uuid.UUID, map[string]string) {
		user := b.join(t, "Ada").UserID
		return user, map[string]string{"userId": user.String()}
	}, contracts.Callers()...)
}
