package measure

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

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/service/fleet"
	"github.com/go-troika/troika/lab/bench/service/load"
)

const profiled = 5 // seconds

// profile takes CPU profiles of our services during one more slice of a route.
func (b *Bench) profile(ctx context.Context, route string, t target) error {
	if b.Profiles == "" || t.side != report.Ours {
		return nil
	}
	loaded := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, t.job, Callers, (profiled+1)*time.Second)
		loaded <- err
	}()
	names := fleet.Names()
	taken := make(chan error, len(names))
	for _, name := range names {
		file := strings.NewReplacer(" ", "-", "/", "", ":", "").Replace(route) + "." + name + ".pprof"
		go func() { taken <- fetch(ctx, b.Fleet.Admin(name), filepath.Join(b.Profiles, file)) }()
	}
	errs := []error{<-loaded}
	for range names {
		errs = append(errs, <-taken)
	}
	return errors.Join(errs...)
}

func fetch(ctx context.Context, admin, path string) error {
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
