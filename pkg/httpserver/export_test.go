package httpserver

import "time"

// SetReadHeaderTimeout replaces the 5 s, before Run.
func (s *Server) SetReadHeaderTimeout(d time.Duration) { s.server.ReadHeaderTimeout = d }
