package logging

import (
	"log/slog"
	"maps"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
)

// lowest is below every level: the handler above decides.
const lowest = slog.Level(math.MinInt)

// Levels are the least levels that are written, by package. They can be changed while loggers use
// them, from any goroutine.
type Levels struct{ now atomic.Pointer[current] }

// Settings are a level for all packages, and exceptions.
type Settings struct {
	Level slog.Level
	// Packages are the exceptions. A package is named by elements of its import path, such as
	// "pkg/events" for that and all below it; the longest name that fits counts.
	Packages map[string]slog.Level
}

// current is Settings in force.
type current struct {
	Settings
	least slog.Level // of all
}

// NewLevels returns Levels with one level for all packages.
func NewLevels(level slog.Level) *Levels {
	l := &Levels{}
	l.Set(Settings{Level: level})
	return l
}

// Get returns the settings in force. They must not be changed.
func (l *Levels) Get() Settings { return l.now.Load().Settings }

// Set replaces all settings. The caller must not change s afterwards.
func (l *Levels) Set(s Settings) {
	least := s.Level
	for level := range maps.Values(s.Packages) {
		least = min(least, level)
	}
	l.now.Store(&current{s, least})
}

func (l *Levels) least() slog.Level { return l.now.Load().least }

// enabled reports whether r is written.
func (l *Levels) enabled(r slog.Record) bool {
	now := l.now.Load()
	if len(now.Packages) == 0 {
		return r.Level >= now.Level
	}
	return r.Level >= now.of(packageOf(r.PC))
}

// of returns the level of a package.
func (s Settings) of(path string) slog.Level {
	level, longest := s.Level, 0
	for name, l := range s.Packages {
		if len(name) > longest && strings.Contains("/"+path+"/", "/"+name+"/") {
			level, longest = l, len(name)
		}
	}
	return level
}

// packageOf returns the import path of the function at pc.
func packageOf(pc uintptr) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	slash := strings.LastIndexByte(frame.Function, '/') + 1
	name, _, _ := strings.Cut(frame.Function[slash:], ".")
	return frame.Function[:slash] + name
}
