// Package chassis starts, runs and stops what every service needs: configuration,
// logging, tracing, metrics, Postgres, Redis, the HTTP server and events. It knows no
// service.
//
// A service's main function calls [Main] with an [App], whose Wire adds what is the
// service's own:
//
//	func main() {
//		chassis.Main(chassis.App[config.Config]{
//			Defaults: config.Defaults, Schema: models.Schema, OpenAPI: openapi, Wire: routes.Wire,
//		})
//	}
package chassis
