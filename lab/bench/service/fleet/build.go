package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/go-troika/troika/"

// Build compiles the services and the floor into dir, with the GOFLAGS of make.
func Build(ctx context.Context, dir string) error {
	args := []string{"build", "-o", dir + string(filepath.Separator), "-ldflags=-s -w"}
	for _, s := range services {
		args = append(args, module+"services/"+s.name)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, module+"lab/bench/cmd/services/floor")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the services: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
