package servicebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-troika/troika/lab/bench/internal/load"
)

const profiled = 5 // seconds

// profile takes CPU profiles of our services under the load of a route, in a slice that
// is not measured.
func (b *Bench) profile(ctx context.Context, route string, t target) error {
	if b.Profiles == "" {
		return nil
	}
	var taking errgroup.Group
	taking.Go(func() error {
		_, err := load.Run(ctx, t.job, Callers, (profiled+1)*time.Second)
		return err
	})
	for name, service := range b.Cluster.ours {
		file := strings.NewReplacer(" ", "-", "/", "", ":", "").Replace(route) + "." + name + ".pprof"
		taking.Go(func() error { return fetchProfile(ctx, service.Admin, filepath.Join(b.Profiles, file)) })
	}
	return taking.Wait()
}

func fetchProfile(ctx context.Context, admin, path string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, profiled)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("take profile: %w", err)
	}
	defer resp.Body.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, resp.Body)
	return errors.Join(err, file.Close())
}
