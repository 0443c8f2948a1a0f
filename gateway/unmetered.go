package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app/id"
)

// passUnmetered relays what the provider never bills: count_tokens and the list of
// models. It is authenticated, not recorded, and many at once are normal.
func (g *Gateway) passUnmetered(c echo.Context) error {
	x := &exchange{g: g, w: c.Response().Writer, r: c.Request(), event: id.NewEvent(g.cfg.Now())}
	if err := x.admit(c.Param("tenant")); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	if err := x.enterLookup(); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	defer x.leave()
	target := *x.tenant.Upstream
	target.Path += strings.TrimPrefix(c.Request().URL.Path, "/gw/"+c.Param("tenant"))
	target.RawQuery = x.r.URL.RawQuery
	request := &http.Request{
		Method: x.r.Method, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: upstreamHeaders(x.r.Header, x.tenant.Credential),
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), lookupWithin)
	defer cancel()
	if x.r.Method == http.MethodPost {
		taken, err := x.takeBody()
		if err != nil {
			g.refuse(c, err, x.event)
			return nil
		}
		request.Body, request.ContentLength = taken.reader(), int64(len(taken.bytes()))
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: taken.written})
	}
	response, err := g.upstream.RoundTrip(request.WithContext(ctx))
	if err != nil {
		g.refuse(c, errUpstream.Because(err), x.event)
		return nil
	}
	defer response.Body.Close()
	x.forgetBody()
	// Answers are small: one that a client has not read by then, nobody reads.
	connection := http.NewResponseController(x.w)
	_ = connection.SetWriteDeadline(time.Now().Add(g.cfg.ReadWithin))
	defer func() { _ = connection.SetWriteDeadline(time.Time{}) }()
	clientHeaders(x.w.Header(), response.Header)
	x.w.Header().Set("X-Tollbook-Request-Id", x.event.String())
	x.w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(x.w, response.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// lookupWithin bounds a lookup, its body included: the provider takes a second or two.
const lookupWithin = 5 * time.Minute

// probe answers Claude Code's start-up check, which carries no credential.
func (g *Gateway) probe(c echo.Context) error { return c.NoContent(http.StatusOK) }

// notMetered refuses what the provider would bill without our meter seeing it.
func (g *Gateway) notMetered(c echo.Context) error {
	discard(c.Response().Writer, c.Request())
	g.refuse(c, errNotMetered, id.NewEvent(g.cfg.Now()))
	return nil
}

func (g *Gateway) unknownPath(c echo.Context) error {
	discard(c.Response().Writer, c.Request())
	if c.Request().Method == http.MethodPost && strings.HasSuffix(c.Request().URL.Path, "/v1/messages") {
		g.refuse(c, errBaseURL, id.NewEvent(g.cfg.Now()))
		return nil
	}
	g.refuse(c, errPath, id.NewEvent(g.cfg.Now()))
	return nil
}
