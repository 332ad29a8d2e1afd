// Package httpserver serves a service's HTTP API and turns every error into one format.
//
// Handlers return an error; [Handle] adapts them to gin and one place turns
// any error into an RFC 9457 problem:
//
//	s := httpserver.New(cfg, deps)
//	s.Router().POST("/users", httpserver.Callers("gateway"), httpserver.Handle(create))
//
//	func create(c *gin.Context) error {
//		in, err := httpserver.Bind[createUser](c)
//		if err != nil {
//			return err
//		}
//		...
//		return httpserver.JSON(c, http.StatusCreated, user)
//	}
//
// # What every route gets
//
// A span, a request id and the headers that name them; a deadline, the smaller of
// the server's own and the caller's X-Request-Timeout-Ms; a limit on requests in
// flight; a limit on the body; metrics by route template; recovery from panics.
// A 5xx is logged once, with its cause; a 4xx is logged at debug level like a success.
// No log line holds a path, a query or a body, nor headers beyond a short list.
//
// The deadline is cooperative: it ends the request's context, and the response of a
// handler that returns after it is a 504. For a handler that ignores its context, the
// write timeout closes the connection.
//
// # Probes
//
// /health, /livez and /readyz need no token, do not count as requests in flight, and
// appear in no metric and no trace.
//
// # Stopping
//
// [Server.Drain] makes /readyz return 503 and every response close its connection,
// while requests are served as before. When the context of [Server.Run] ends, the
// server stops accepting and waits for the requests in flight.
package httpserver
