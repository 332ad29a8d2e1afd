package driver

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Connect opens the database of a service as the superuser.
func (s *Stack) Connect(ctx context.Context, service string) (*pgx.Conn, error) {
	password, err := os.ReadFile(filepath.Join(s.Dir, "postgres", "password"))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(s.Part("postgres").URL)
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword("postgres", strings.TrimSpace(string(password)))
	u.Path = "/" + strings.ReplaceAll(service, "-", "_") + "_development"
	return pgx.Connect(ctx, u.String())
}
