package httpserver

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/logging"
)

// Levels adds the routes that read and change the levels of the log.
func (r Router) Levels(path string, a Access, l *logging.Levels) {
	h := levels{l}
	r.GET(path, a, Handle(h.show))
	r.Handle(http.MethodPut, path, a, Handle(h.replace))
}

// levels serves the levels of the log.
type levels struct{ of *logging.Levels }

// levelsBody is the body of requests and responses.
type levelsBody struct {
	Level    string            `json:"level" validate:"required,oneof=debug info warn error"`
	Packages map[string]string `json:"packages" validate:"max=100,dive,oneof=debug info warn error"`
}

func (l levels) show(g *gin.Context) error {
	now := l.of.Get()
	body := levelsBody{Level: levelName(now.Level), Packages: map[string]string{}}
	for name, level := range now.Packages {
		body.Packages[name] = levelName(level)
	}
	return JSON(g, http.StatusOK, body)
}

func (l levels) replace(g *gin.Context) error {
	in, err := Bind[levelsBody](g)
	if err != nil {
		return err
	}
	next := logging.Settings{Level: levelNamed(in.Level), Packages: map[string]slog.Level{}}
	for name, level := range in.Packages {
		next.Packages[strings.Trim(name, "/")] = levelNamed(level)
	}
	l.of.Set(next)
	return l.show(g)
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// levelNamed returns the level with a name that levelsBody permits.
func levelNamed(name string) (l slog.Level) {
	_ = l.UnmarshalText([]byte(name))
	return l
}
