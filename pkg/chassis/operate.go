package chassis

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
)

// operator is the caller that people's tools sign as.
const operator = "gateway"

//go:embed operator.yaml
var operatorAPI []byte

// openAdmin makes what the admin port serves: metrics, profiles, and routes for
// people.
func (c *Chassis) openAdmin() error {
	c.operate = httpserver.New(httpserver.Config{HandlerTimeout: operatorTime}, httpserver.Deps{
		Service: c.Config.Service, Log: c.Log, Tracer: c.Tracer, Metrics: c.Metrics, Verifier: c.Verifier,
	})
	c.admin = httpserver.NewAdmin(c.Config.adminAddr(), c.Metrics, map[string]http.Handler{
		"/events/": c.operate, "/openapi.yaml": c.operate, "/docs": c.operate,
	})
	return c.operate.Docs(operatorAPI)
}

// operatorTime bounds a command, which may wait for a handler.
const operatorTime = 35 * time.Second

// operateConsumer adds the routes by which a person looks after the consumer.
func (c *Chassis) operateConsumer() {
	r, people := c.operate.Router(), c.operate.Callers(operator)
	r.GET("/events/status", people, httpserver.Handle(c.eventStatus))
	r.GET("/events/parked", people, httpserver.Handle(c.listParked))
	r.POST("/events/redrive", people, httpserver.Handle(c.redrive))
	r.POST("/events/discard", people, httpserver.Handle(c.discard))
	r.POST("/events/replay", people, httpserver.Handle(c.replay))
	r.POST("/events/pause", people, httpserver.Handle(c.pause))
	r.POST("/events/resume", people, httpserver.Handle(c.resume))
}

func (c *Chassis) eventStatus(g *gin.Context) error {
	status, err := c.operator.Status(g.Request.Context())
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, status)
}

// parkedPage is what GET /events/parked answers; next, if not 0, is the after
// of the page behind it.
type parkedPage struct {
	Items []admin.Parked `json:"items"`
	Next  int64          `json:"next,omitzero"`
}

const parkedLimit = 100

func (c *Chassis) listParked(g *gin.Context) error {
	after := int64(0)
	if g.Query("after") != "" {
		var err error
		if after, err = queryInt(g, "after"); err != nil {
			return err
		}
	}
	state := g.Query("state")
	if state != "" && !slices.Contains(admin.States, state) {
		return ErrInvalidQuery.WithFields(fault.Field{Name: "state", Message: "must be one of " + strings.Join(admin.States, ", ")})
	}
	items, err := c.operator.Parked(g.Request.Context(), state, after, parkedLimit)
	if err != nil {
		return err
	}
	page := parkedPage{Items: items}
	if len(items) == parkedLimit {
		page.Next = items[len(items)-1].Number
	}
	return httpserver.JSON(g, http.StatusOK, page)
}

// selectRequest names parked events: one by its id, those of a type, or all.
type selectRequest struct {
	ID    *string `json:"id" validate:"omitempty,uuid"`
	Event string  `json:"event" validate:"max=200"`
	All   bool    `json:"all"`
}

func (r selectRequest) selection() admin.Selection {
	s := admin.Selection{Event: r.Event, All: r.All}
	if r.ID != nil {
		id := uuid.MustParse(*r.ID) // validated
		s.ID = &id
	}
	return s
}

// count is how many events a command concerned.
type count struct {
	Events int64 `json:"events"`
}

func (c *Chassis) redrive(g *gin.Context) error {
	in, err := httpserver.Bind[selectRequest](g)
	if err != nil {
		return err
	}
	n, err := c.operator.Redrive(g.Request.Context(), in.selection())
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

type discardRequest struct {
	selectRequest
	Reason string `json:"reason" validate:"required,notblank,max=1000"`
}

func (c *Chassis) discard(g *gin.Context) error {
	in, err := httpserver.Bind[discardRequest](g)
	if err != nil {
		return err
	}
	n, err := c.operator.Discard(g.Request.Context(), in.selection(), in.Reason)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

type replayRequest struct {
	Service   string     `json:"service" validate:"required"`
	Partition *int64     `json:"partition,string" validate:"omitempty,min=0"`
	Position  *int64     `json:"position" validate:"omitempty,min=0"` // replay what is behind it
	Since     *time.Time `json:"since"`
	Unseen    bool       `json:"unseen"`
}

func (c *Chassis) replay(g *gin.Context) error {
	in, err := httpserver.Bind[replayRequest](g)
	if err != nil {
		return err
	}
	n, err := c.operator.Replay(g.Request.Context(), admin.Replay(in))
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

func (c *Chassis) pause(g *gin.Context) error {
	if err := c.operator.Pause(g.Request.Context()); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}

func (c *Chassis) resume(g *gin.Context) error {
	if err := c.operator.Resume(g.Request.Context()); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}
