package logging_test

import (
	"context"
	"log/slog"
	"os"
	"regexp"

	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/tracing"
)

func Example() {
	log := logging.New(withoutTime{}, "user-service", logging.NewLevels(slog.LevelInfo))
	ctx := tracing.WithRequestID(context.Background(), "r-1")
	log.InfoContext(ctx, "user registered", "userId", "42")
	// Output:
	// {"level":"INFO","msg":"user registered","service":"user-service","request_id":"r-1","userId":"42"}
}

// withoutTime makes the output of the example repeatable.
type withoutTime struct{}

func (withoutTime) Write(line []byte) (int, error) {
	_, err := os.Stdout.Write(regexp.MustCompile(`"time":"[^"]*",`).ReplaceAll(line, nil))
	return len(line), err
}
