// Package httpapi is the HTTP side of events: the routes by which services read a
// producer's log ([ServeLog]), their client ([Reader]), and the operator's routes on
// the admin port ([ServeOperator], [ServePartitions]), which `stack events` calls.
package httpapi
