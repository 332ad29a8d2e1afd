package chassis_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// halfSent opens a connection and sends a request with half of its body.
func halfSent(t *testing.T, addr, path, token string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", path, serviceauth.Header, token)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Whoever sends a body slowly, or not at all, takes no place from others.
func TestHalfSentBodiesDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	i := start(t, append(s.environ, "DB_POOL_MAX=1"), func(ch *chassis.Chassis) {
		ch.HTTP.Router().POST("/work", httpserver.Callers("gateway"), httpserver.Handle(func(c *gin.Context) error {
			return httpserver.JSON(c, http.StatusOK, "done")
		}))
	})
	token := s.token("gateway")
	for range 20 {
		halfSent(t, i.HTTP.Addr(), "/work", token)
	}
	for range 20 {
		if status, body := i.post("/work", token, "{}"); status != http.StatusOK {
			t.Fatalf("status %d %s", status, body)
		}
	}
}

// A service that stops does not wait for the rest of a body.
func TestStopWithAHalfSentBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	i := start(t, s.environ, func(ch *chassis.Chassis) {
		ch.HTTP.Router().POST("/work", httpserver.Callers("gateway"), httpserver.Handle(func(c *gin.Context) error {
			if _, err := httpserver.Bind[struct{}](c); err != nil {
				return err
			}
			return httpserver.JSON(c, http.StatusOK, "done")
		}))
	})
	halfSent(t, i.HTTP.Addr(), "/work", s.token("gateway"))
	began := time.Now()
	i.stop() // fails the test if it ends with an error
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopped after %v", took)
	}
}

// Nobody reads the log any more; the service serves on, and SIGHUP stops it in order.
func TestServiceSurvivesAClosedStdout(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errs := &journal{}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(s.environ, asService)
	cmd.Stdout, cmd.Stderr = writer, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	addr := ""
	for lines := bufio.NewScanner(reader); addr == "" && lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), `"msg":"service started"`); ok {
			_, rest, _ = strings.Cut(rest, `"addr":"`)
			addr, _, _ = strings.Cut(rest, `"`)
		}
	}
	reader.Close()
	i := &instance{t: t, url: "http://" + addr}
	for range 20 { // each writes a line
		if got := i.status("/events/log", serviceauth.Header, "forged"); got != http.StatusUnauthorized {
			t.Fatalf("status %d", got)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d: %s", code, errs)
	}
	_, _ = io.Copy(io.Discard, reader)
}

// Without APP_ENV a service accepts none of the demo's secrets, and
// only its own machine reaches it.
func TestDefaultsAreStrict(t *testing.T) {
	t.Parallel()
	_, err := env.Load[chassis.Config]([]string{"SERVICE_NAME=x", "DB_USER=x", "DB_PASSWORD=x", "SERVICE_SECRET=" + serviceauth.DemoSecret})
	if err == nil || !strings.Contains(err.Error(), "SERVICE_SECRET: ") {
		t.Errorf("the demo's secret without an environment: %v", err)
	}
	cfg, err := env.Load[chassis.Config]([]string{"SERVICE_NAME=x", "DB_USER=x", "DB_PASSWORD=x", "REDIS_PASSWORD=x",
		"SERVICE_SECRET=" + strings.Repeat("s3cr3t-", 6)})
	if err != nil || cfg.HTTP.Host != "127.0.0.1" {
		t.Errorf("listens on %q, %v", cfg.HTTP.Host, err)
	}
}
