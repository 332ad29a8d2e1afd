package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// parseConfig reads what docker compose config prints: images go to add,
// Dockerfiles of what is built are answered.
func parseConfig(text []byte, add func(image string)) (dockerfiles []string, err error) {
	var config struct {
		Services map[string]struct {
			Image string
			Build *struct{ Context, Dockerfile string }
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read the compose configuration: %w", err)
	}
	for _, service := range config.Services {
		if service.Build == nil {
			add(service.Image)
			continue
		}
		file := service.Build.Dockerfile
		if !filepath.IsAbs(file) {
			file = filepath.Join(service.Build.Context, file)
		}
		dockerfiles = append(dockerfiles, file)
	}
	return dockerfiles, nil
}

var fromLine = regexp.MustCompile(`(?mi)^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)

// ParseFrom lists the images that a Dockerfile builds upon, without its own
// stages and those that depend on arguments.
func ParseFrom(dockerfile string) []string {
	var images, stages []string
	for _, match := range fromLine.FindAllStringSubmatch(dockerfile, -1) {
		if !slices.Contains(stages, match[1]) && !strings.Contains(match[1], "$") {
			images = append(images, match[1])
		}
		stages = append(stages, match[2])
	}
	return images
}

// container is what docker inspect says of a container, as far as it matters.
type container struct {
	ID    string
	State struct {
		Status    string
		Pid       int
		ExitCode  int
		StartedAt time.Time
		Health    *struct {
			Status string
			Log    []struct {
				End      time.Time
				ExitCode int
			}
		}
	}
	Config          struct{ Labels map[string]string }
	NetworkSettings struct {
		Ports map[string][]struct{ HostPort string }
	}
}

// Status implements [world.World].
func (s *Stack) Status(ctx context.Context) (world.Status, error) {
	parts, ids, err := s.inspect(ctx)
	status := world.Status{Name: s.Name, World: world.Docker, Ready: len(parts) > 0, Parts: parts}
	for i, p := range parts {
		parts[i].RSS = memory(p.PID, ids[p.Name])
		status.Ready = status.Ready && (p.State == world.Ready || p.Detail == finished)
	}
	return status, err
}

// memory returns the resident bytes of a container's processes if they are this
// machine's own, and not those of another or of a virtual one: docker stats would
// take two seconds.
func memory(pid int, id string) int64 {
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(group), id) {
		return 0
	}
	return process.Memory(pid)
}

// inspect returns the parts, and the id of each one's container by its name.
func (s *Stack) inspect(ctx context.Context) ([]world.Part, map[string]string, error) {
	ids, err := output(ctx, s.Root, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+s.Name)
	if err != nil || strings.TrimSpace(ids) == "" {
		return nil, nil, err
	}
	text, err := output(ctx, s.Root, append([]string{"inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		return nil, nil, err
	}
	return ParseInspect([]byte(text), s.Services, time.Now())
}

// finished is the detail of a container that had one thing to do, and did it.
const finished = "done, exit status 0"

// ParseInspect reads what docker inspect prints. A service is reached at the
// host's port that leads to the port its service.yaml names, whichever container
// publishes that. The map leads from a part's name to its container's id.
func ParseInspect(text []byte, services []checkout.Service, now time.Time) ([]world.Part, map[string]string, error) {
	var containers []container
	if err := json.Unmarshal(text, &containers); err != nil {
		return nil, nil, fmt.Errorf("read what docker inspect says: %w", err)
	}
	replicas, published := map[string]int{}, map[string]int{}
	for _, c := range containers {
		replicas[c.service()]++
		for port, hosts := range c.NetworkSettings.Ports {
			if len(hosts) > 0 {
				published[port], _ = strconv.Atoi(hosts[0].HostPort)
			}
		}
	}
	var parts []world.Part
	ids := map[string]string{}
	for _, c := range containers {
		p := c.part(now)
		if replicas[p.Service] > 1 {
			p.Name += "-" + c.Config.Labels["com.docker.compose.container-number"]
		}
		for _, service := range services {
			if port := published[strconv.Itoa(service.Port)+"/tcp"]; service.Name == p.Service && port > 0 {
				p.Port, p.URL = port, "http://127.0.0.1:"+strconv.Itoa(port)
			}
			if own := c.NetworkSettings.Ports[strconv.Itoa(service.AdminPort)+"/tcp"]; service.Name == p.Service && len(own) > 0 {
				p.AdminPort, _ = strconv.Atoi(own[0].HostPort)
			}
		}
		parts = append(parts, p)
		ids[p.Name] = c.ID
	}
	slices.SortFunc(parts, func(a, b world.Part) int { return strings.Compare(a.Name, b.Name) })
	return parts, ids, nil
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

func (c container) part(now time.Time) world.Part {
	p := world.Part{Name: c.service(), Service: c.service(), PID: c.State.Pid, State: world.Starting}
	switch c.State.Status {
	case "running":
		p.UptimeMS = now.Sub(c.State.StartedAt).Milliseconds()
		if c.State.Health == nil || c.State.Health.Status == "healthy" {
			p.State = world.Ready
		}
	case "paused":
		p.State = world.Paused
	case "exited", "dead":
		p.State, p.Detail = world.Exited, "exit status "+strconv.Itoa(c.State.ExitCode)
		if c.State.ExitCode == 0 {
			p.Detail = finished
		}
	}
	if c.State.Health != nil {
		for _, check := range c.State.Health.Log {
			if check.ExitCode == 0 && p.ReadyMS == 0 {
				p.ReadyMS = check.End.Sub(c.State.StartedAt).Milliseconds()
			}
		}
	}
	return p
}
