package httpserver_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/tracing"
)

type createUser struct {
	Email string `json:"email" validate:"required,email"`
	Name  string `json:"name" validate:"required,max=100"`
}

// A handler binds, works and answers; whatever it returns as an error becomes a
// problem.
func Example() {
	s := httpserver.New(httpserver.Config{}, httpserver.Deps{
		Service: "user-service",
		Log:     logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo)),
		Tracer:  new(tracing.Tracer),
		Metrics: metrics.New("user-service"),
	})
	s.Router().POST("/users", httpserver.Public(), httpserver.Handle(func(c *gin.Context) error {
		in, err := httpserver.Bind[createUser](c)
		if err != nil {
			return err
		}
		if in.Email == "ann@example.com" {
			return fault.New(fault.Conflict, "email_taken", "Email is already taken")
		}
		return httpserver.JSON(c, http.StatusCreated, in)
	}))

	for _, body := range []string{
		`{"email":"bob@example.com","name":"Bob"}`,
		`{"email":"ann@example.com","name":"Ann"}`,
		`{"email":"ann","age":7}`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/users", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Request-ID", "r-1")
		r.Header.Set("X-Trace-ID", "0af76519-16cd-43dd-8448-eb211c80319c")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		text, _, _ := strings.Cut(w.Body.String(), `,"requestId"`)
		fmt.Println(w.Code, strings.ReplaceAll(text, `,"type":"https://github.com/go-troika/troika/blob/main/docs/problems.md#`, ` … "#`))
	}
	// Output:
	// 201 {"email":"bob@example.com","name":"Bob"}
	// 409 {"error":"Email is already taken" … "#email_taken","title":"Conflict","status":409,"code":"email_taken"
	// 400 {"error":"Validation failed" … "#validation_failed","title":"Bad Request","status":400,"code":"validation_failed","errors":[{"field":"age","message":"is not a known field"},{"field":"email","message":"must be an email address"},{"field":"name","message":"is required"}]
}
