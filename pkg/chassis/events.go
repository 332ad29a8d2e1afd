package chassis

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceclient"
)

const (
	eventLogPath  = "/events"
	maxEventsPage = 256

	// A consumer's transaction that does nothing for this long is a frozen
	// process's: Postgres ends it, so that another instance can go on. It is
	// longer than a handler may take.
	frozenTransaction = "15s"
)

// Relay has Run carry what the service publishes to its subscribers. Those named
// may read the service's event log (GET /events), for what Redis has lost.
func (c *Chassis) Relay(subscribers ...string) {
	c.relay = events.NewRelay(c.outbox, c.db, c.redis, c.eventDeps())
	r, callers := c.HTTP.Router(), c.HTTP.Callers(subscribers...)
	r.GET(eventLogPath, callers, httpserver.Handle(c.listEvents))
	r.GET(eventLogPath+"/position", callers, httpserver.Handle(c.seekEvents))
	people := c.HTTP.Callers(operator)
	r.GET("/events/groups", people, httpserver.Handle(c.listGroups))
	r.POST("/events/forget", people, httpserver.Handle(c.forgetGroup))
}

// Consumer gives the consumer that Run runs. Handlers work in transactions of a
// pool of their own, so that requests and events do not starve each other.
func (c *Chassis) Consumer(ctx context.Context) (*events.Consumer, error) {
	cfg := c.Config.Database
	cfg.PoolMax, cfg.PoolMin = c.Config.Events.Workers+1, 0 // one for parked events
	cfg.PoolAcquire = events.HandlerTimeout
	db, err := c.openPool(ctx, cfg, database.WithSetting("idle_in_transaction_session_timeout", frozenTransaction))
	if err != nil {
		return nil, err
	}
	c.consumer = events.NewConsumer(events.ConsumerOptions{
		Name: c.Config.Service, DB: db, Redis: c.redis, Dial: c.dialRedis, History: (*history)(c),
		Config: c.Config.Events, Deps: c.eventDeps(),
	})
	c.operateEvents()
	return c.consumer, nil
}

func (c *Chassis) eventDeps() events.Deps {
	return events.Deps{Log: c.Log, Metrics: c.Metrics.Registry(), Tracer: c.Tracer}
}

// dialRedis gives a client with one connection of its own.
func (c *Chassis) dialRedis() redis.UniversalClient {
	opts := *c.redis.Options()
	opts.PoolSize, opts.MinIdleConns, opts.MaxIdleConns = 1, 0, 1
	return redis.NewClient(&opts)
}

// eventPage is what GET /events answers.
type eventPage struct {
	Items []events.Recorded `json:"items"`
}

func (c *Chassis) listEvents(g *gin.Context) error {
	part, err := c.partition(g)
	if err != nil {
		return err
	}
	after, err := queryInt(g, "after", 0, 1<<62)
	if err != nil {
		return err
	}
	limit, err := queryInt(g, "limit", 1, maxEventsPage)
	if err != nil {
		return err
	}
	items, err := events.ReadLog(g.Request.Context(), c.DB, part, after, int(limit))
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, eventPage{items})
}

// ErrInvalidQuery is answered to a query parameter out of its range.
var ErrInvalidQuery = fault.New(fault.Malformed, "invalid_query", "Invalid query")

func queryInt(g *gin.Context, name string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(g.Query(name), 10, 64)
	if err != nil || n < low || n > high {
		return 0, ErrInvalidQuery.WithFields(fault.Field{
			Name: name, Message: fmt.Sprintf("must be a number from %d to %d", low, high),
		})
	}
	return n, nil
}

func (c *Chassis) seekEvents(g *gin.Context) error {
	part, err := c.partition(g)
	if err != nil {
		return err
	}
	since, err := time.Parse(time.RFC3339, g.Query("since"))
	if err != nil {
		return ErrInvalidQuery.WithFields(fault.Field{Name: "since", Message: "must be a time as of RFC 3339"})
	}
	after, err := events.SeekLog(g.Request.Context(), c.DB, part, since)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, eventPosition{after})
}

// eventPosition is what GET /events/position answers.
type eventPosition struct {
	After int64 `json:"after"`
}

func (c *Chassis) partition(g *gin.Context) (int, error) {
	n, err := queryInt(g, "partition", 0, int64(c.Config.Events.Partitions)-1)
	return int(n), err
}

// history reads other services' event logs over HTTP. It is a Chassis.
type history Chassis

// Read implements events.History.
func (h *history) Read(ctx context.Context, source string, part int, after int64, limit int) ([]events.Recorded, error) {
	path := fmt.Sprintf("%s?partition=%d&after=%d&limit=%d", eventLogPath, part, after, limit)
	page, err := serviceclient.Get[eventPage](ctx, (*Chassis)(h).Client(source, serviceclient.Config{}), path)
	return page.Items, err
}

// ErrNoProducer is answered where another service's event log is needed and
// cannot be read.
var ErrNoProducer = fault.New(fault.Unavailable, "producer_unavailable", "The producer's event log cannot be read").WithRetryAfter(time.Second)

// Seek implements events.History.
func (h *history) Seek(ctx context.Context, source string, part int, t time.Time) (int64, error) {
	path := fmt.Sprintf("%s/position?partition=%d&since=%s", eventLogPath, part, url.QueryEscape(t.Format(time.RFC3339Nano)))
	at, err := serviceclient.Get[eventPosition](ctx, (*Chassis)(h).Client(source, serviceclient.Config{}), path)
	if err != nil {
		return 0, ErrNoProducer.With(err)
	}
	return at.After, nil
}
