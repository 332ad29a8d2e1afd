package httpserver_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

type user struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

var ann = user{ID: "01890a5d-ac96-774b-bcce-b302099a8057", Email: "ann@example.com", Name: "Ann"}

// BenchmarkChain is what a request costs beyond its handler: ours with and without
// the check of a service token, against gin with nothing around it.
func BenchmarkChain(b *testing.B) {
	keys := setup(b, httpserver.Config{}).keys
	s := httpserver.New(httpserver.Config{InFlight: 20}, httpserver.Deps{
		Service: "user-service", Tracer: new(tracing.Tracer), Metrics: metrics.New("user-service"),
		Log:      logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo)),
		Verifier: serviceauth.NewVerifier(keys, "user-service"),
	})
	show := httpserver.Handle(func(c *gin.Context) error { return httpserver.JSON(c, http.StatusOK, ann) })
	s.Router().GET("/users/:id", httpserver.Public(), show)
	s.Router().GET("/guarded/:id", httpserver.Callers("gateway"), show)
	bare := gin.New()
	bare.GET("/users/:id", func(c *gin.Context) { c.JSON(http.StatusOK, ann) })

	token, err := serviceauth.NewSigner(keys, "gateway").Token("user-service")
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name, path string
		handler    http.Handler
	}{{"bare", "/users/1", bare}, {"server", "/users/1", s}, {"guarded", "/guarded/1", s}} {
		b.Run(bm.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, bm.path, nil)
			r.Header.Set(serviceauth.Header, token)
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				bm.handler.ServeHTTP(w, r)
			}
		})
	}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkBind(b *testing.B) {
	s := setup(b, httpserver.Config{})
	s.Router().POST("/", httpserver.Public(), httpserver.Handle(func(c *gin.Context) error {
		_, err := httpserver.Bind[placeOrder](c)
		return err
	}))
	b.ReportAllocs()
	for b.Loop() {
		if w := s.post("/", goodOrder); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkServed is the CPU time of a whole request over a connection, the client's included:
// recovery, trace (a tenth or all are recorded and exported), log, metrics, authentication and limits,
// against gin with nothing around it.
func BenchmarkServed(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	keys := setup(b, httpserver.Config{}).keys
	server := func(ratio float64) http.Handler {
		tracer, err := tracing.Open(b.Context(), tracing.Config{Endpoint: collector.URL, SampleRatio: ratio}, "user-service")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = tracer.Shutdown(context.Background()) })
		s := httpserver.New(httpserver.Config{InFlight: 20}, httpserver.Deps{
			Service: "user-service", Tracer: tracer, Metrics: metrics.New("user-service"),
			Log:      logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo)),
			Verifier: serviceauth.NewVerifier(keys, "user-service"),
		})
		s.Router().GET("/users/:id", httpserver.Callers("gateway"), httpserver.Handle(func(c *gin.Context) error {
			return httpserver.JSON(c, http.StatusOK, ann)
		}))
		return s
	}
	bare := gin.New()
	bare.GET("/users/:id", func(c *gin.Context) { c.JSON(http.StatusOK, ann) })
	token, err := serviceauth.NewSigner(keys, "gateway").Token("user-service")
	if err != nil {
		b.Fatal(err)
	}
	request := "GET /users/1 HTTP/1.1\r\nHost: x\r\n" + serviceauth.Header + ": " + token + "\r\n\r\n"
	for _, bm := range []struct {
		name    string
		handler http.Handler
	}{{"bare", bare}, {"a tenth is recorded", server(0.1)}, {"all are recorded", server(1)}} {
		b.Run(bm.name, func(b *testing.B) {
			server := httptest.NewServer(bm.handler)
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			answer := make([]byte, 4<<10)
			before := cpu(b)
			for b.Loop() {
				if _, err := conn.Write([]byte(request)); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Read(answer); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
					b.Fatalf("%s %v", answer, err)
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu returns the CPU time of this process so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
