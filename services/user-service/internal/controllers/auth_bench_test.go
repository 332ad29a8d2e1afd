package controllers_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/models"
	"github.com/go-troika/troika/services/user-service/internal/routes"
)

// BenchmarkFailedLogin compares the times of failed logins with and without an account, in
// turn: a stranger must not be able to tell them apart.
func BenchmarkFailedLogin(b *testing.B) {
	app := chassis.App[config.Config]{Defaults: config.Defaults, Schema: models.Schema, Wire: routes.Wire}
	s := bundle{apitest.Start(b, app, "../../openapi.yaml", "USER_TOKEN_KEY="+apitest.UserKey(b))}
	s.registerPerson(b, "ada@example.com")
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, email := range []string{"ada@example.com", "eve@example.com"} {
			if err := s.Data.Gorm.Exec("DELETE FROM auth_attempts").Error; err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			got := s.tryLogin(b, email, "three other words")
			took[email] = append(took[email], time.Since(began))
			if got.Status != http.StatusUnauthorized {
				b.Fatal(got)
			}
		}
	}
	median := func(email string) float64 {
		slices.Sort(took[email])
		return float64(took[email][len(took[email])/2].Microseconds()) / 1000
	}
	known, unknown := median("ada@example.com"), median("eve@example.com")
	b.ReportMetric(known, "known-ms")
	b.ReportMetric(unknown, "unknown-ms")
	b.ReportMetric(unknown/known, "ratio")
}
