package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// levels shows or replaces the levels of a service's log.
func (a *app) levels(ctx context.Context, args []string) error {
	fs := a.flags("levels")
	url := fs.String("url", "", "")
	rest, err := a.parse(fs, args, 1, 32)
	if err != nil {
		return err
	}
	service, settings := rest[0], rest[1:]
	packages := map[string]string{}
	for _, setting := range settings[min(len(settings), 1):] {
		name, level, ok := strings.Cut(setting, "=")
		if !ok {
			return fmt.Errorf("levels: %q is not PACKAGE=LEVEL: %w", setting, errUsage)
		}
		packages[name] = level
	}
	if *url == "" {
		if *url, err = a.adminURL(ctx, service); err != nil {
			return err
		}
	}
	if len(settings) == 0 {
		return a.sendAsOperator(ctx, service, http.MethodGet, *url+"/log/levels", nil)
	}
	body := map[string]any{"level": settings[0], "packages": packages}
	return a.sendAsOperator(ctx, service, http.MethodPut, *url+"/log/levels", body)
}
