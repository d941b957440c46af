package auth

import (
	"errors"
	"net/http"
)

// A Transport is an http.RoundTripper for one endpoint.
type Transport struct{}

// NewTransport returns a Transport for the endpoint. It does no network I/O.
func NewTransport(endpoint string, cfg *TransportConfig) (*Transport, error) {
	return nil, errors.New("auth: not built yet")
}

// RoundTrip sends one request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) { return nil, ErrClosed }

// CloseIdleConnections closes connections that carry nothing.
func (t *Transport) CloseIdleConnections() {}

// Close closes all connections; calls under way fail with [ErrClosed].
func (t *Transport) Close() error { return nil }

// Waiting returns how many requests wait for a connection.
func (t *Transport) Waiting() int { return 0 }

// Stats is a snapshot of a Transport's connections.
type Stats struct {
	MaxConns int
	Open     int // connections, with those being made
	InUse    int
	Polls    int // of those in use, long polls
	Waiting  int // requests that wait for a connection
}

// Stats returns a snapshot.
func (t *Transport) Stats() Stats { return Stats{} }
