package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// newControl is the least a Go proxy can do here: check a key, swap it, pass the
// rest on and flush every read.
func newControl(told brief) (*service, error) {
	upstream, err := url.Parse(told.Upstream)
	if err != nil {
		return nil, fmt.Errorf("read upstream: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.URL.Path = "/v1/messages"
			r.Out.Header.Set("X-Api-Key", told.Credential)
			r.Out.Body = &ended{ReadCloser: r.Out.Body}
		},
		// As the gateway's own, so that only what stands around it differs.
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			DisableCompression:    true,
			MaxIdleConns:          4096,
			MaxIdleConnsPerHost:   2048,
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: 0,
		},
	}
	return &service{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != told.Key {
			http.Error(w, "this key is not accepted here", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	})}, nil
}

// ended remembers that a body was read out. The transport looks once more for bytes
// beyond the announced length; when the answer has begun by then, the server has
// closed the body, and the transport takes its error for a broken request and cuts
// the answer.
type ended struct {
	io.ReadCloser
	all bool // only the transport's writer reads
}

func (e *ended) Read(p []byte) (int, error) {
	if e.all {
		return 0, io.EOF
	}
	n, err := e.ReadCloser.Read(p)
	e.all = errors.Is(err, io.EOF)
	return n, err
}
