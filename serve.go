package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"tollbook/gateway"
)

const (
	headerLimit = 10 * time.Second
	idleLimit   = 2 * time.Minute
)

// listen opens the port and says what to do when it is taken.
func listen(address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program; stop that program, or choose another address with --listen or TOLLBOOK_LISTEN", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// serveUntil answers on a listener until ctx ends, then lets running answers finish
// within the shutdown limit. There is no write timeout: streams last minutes.
func serveUntil(ctx context.Context, l net.Listener, handler http.Handler, s settings, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: int(s.Limits.headerBytes),
		ErrorLog: stdlog.New(serverLog{log}, "", 0),
	}
	ended := make(chan error, 1)
	go func() {
		if s.TLSCert != "" {
			ended <- server.ServeTLS(l, s.TLSCert, s.TLSKey)
			return
		}
		ended <- server.Serve(l)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.shutdown)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		_ = server.Close() // what did not finish in time is cut; its journal settles it
	}
	return nil
}

// serverLog takes what net/http has to say. A handler that panicked is our fault, and
// an error; the rest, such as a client's broken handshake, is for whoever looks closely.
type serverLog struct{ log *slog.Logger }

// Write implements io.Writer, one message at a time.
func (l serverLog) Write(message []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(message, []byte("http: panic serving")) {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, "http server", "said", string(bytes.TrimSpace(message)))
	return len(message), nil
}

// runServe is the command serve.
func runServe(ctx context.Context, only string) error {
	var list []string
	if only != "" {
		list = strings.Split(only, ",")
	}
	s, err := readSettings(os.LookupEnv, list)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	l, err := listen(s.Listen)
	if err != nil {
		return err
	}
	if s.runs("gateway") {
		gateway.MakeRoom()
	}
	h, err := assemble(ctx, s, log)
	if err != nil {
		return err
	}
	defer h.db.Close()
	p, err := h.start(ctx)
	if err == nil {
		log.InfoContext(ctx, "serving", "listen", s.Listen, "public_url", s.PublicURL.String(), "version", version)
		err = serveUntil(ctx, l, p.mux, s, log)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.shutdown)
	defer cancel()
	return errors.Join(err, p.shutdown(limited))
}
